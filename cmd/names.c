/* names.c: made-up names for containers that were given none. */
#include <errno.h>
#include <string.h>

#include "cmd/plan.h"

static const char *const adjectives[] = {
	"able",	  "airy",   "amber",  "apt",	  "azure",  "bold",   "brave",	 "brisk",  "bright",
	"calm",	  "candid", "chief",  "civil",	  "clear",  "clever", "cosy",	 "crisp",  "curly",
	"daring", "deft",   "dusty",  "eager",	  "early",  "easy",   "fabled",	 "fair",   "fleet",
	"fond",	  "frank",  "free",   "fresh",	  "gentle", "glad",   "golden",	 "grand",  "green",
	"handy",  "hardy",  "honest", "humble",	  "ideal",  "jolly",  "keen",	 "kind",   "late",
	"limber", "lively", "lucid",  "lucky",	  "mellow", "merry",  "mild",	 "misty",  "modest",
	"neat",	  "nimble", "noble",  "novel",	  "odd",    "open",   "patient", "plain",  "polite",
	"prompt", "proud",  "quick",  "quiet",	  "ready",  "royal",  "rustic",	 "shiny",  "silent",
	"silver", "simple", "smart",  "snug",	  "sober",  "solid",  "spry",	 "stable", "steady",
	"sunny",  "swift",  "tidy",   "tranquil", "true",   "vivid",  "warm",	 "wise",   "witty",
};

/* People who built, proved or found things, and machines are indebted to. */
static const char *const surnames[] = {
	"abbe",	      "ampere",	   "anning",   "antonelli", "arago",	 "backus",    "bartik",
	"bell",	      "bernoulli", "bessel",   "blackwell", "bohr",	 "boole",     "brahe",
	"brunel",     "cantor",	   "carnot",   "cauchy",    "cayley",	 "church",    "clarke",
	"coulomb",    "curie",	   "dahl",     "dantzig",   "dedekind",	 "diesel",    "dijkstra",
	"dirac",      "eckert",	   "erdos",    "euler",	    "faraday",	 "fermat",    "fibonacci",
	"floyd",      "foucault",  "fourier",  "frege",	    "galois",	 "gauss",     "germain",
	"godel",      "hamming",   "hertz",    "hilbert",   "hoare",	 "hollerith", "holberton",
	"hopper",     "hubble",	   "huffman",  "huygens",   "jacobi",	 "jacquard",  "kepler",
	"kleene",     "knuth",	   "lagrange", "laplace",   "leavitt",	 "legendre",  "leibniz",
	"liskov",     "lovelace",  "mauchly",  "maxwell",   "mccarthy",	 "meitner",   "mercator",
	"napier",     "naur",	   "newton",   "noether",   "nygaard",	 "ohm",	      "pascal",
	"peano",      "perlis",	   "planck",   "poisson",   "ramanujan", "ritchie",   "robinson",
	"rutherford", "sammet",	   "shannon",  "steiner",   "strachey",	 "tesla",     "torvalds",
	"turing",     "venn",	   "volta",    "watt",	    "wiener",	 "wilkes",    "wirth",
};

static unsigned pick(unsigned n)
{
	unsigned r;

	random_bytes(&r, sizeof(r));
	return r % n;
}

char *name_random(unsigned turn)
{
	const char *a = adjectives[pick(sizeof(adjectives) / sizeof(adjectives[0]))];
	const char *s = surnames[pick(sizeof(surnames) / sizeof(surnames[0]))];

	if (turn == 0)
		return xasprintf("%s_%s", a, s);
	return xasprintf("%s_%s%u", a, s, pick(10 * turn));
}

int name_check(const char *name, struct err *e)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				   "_.-";
	size_t n = strlen(name);

	if (n >= 2 && n <= 255 && strspn(name, good) == n && strchr("_.-", *name) == NULL)
		return 0;
	return err_set(e, EINVAL,
		       "Invalid container name (%.300s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are "
		       "allowed",
		       name);
}
