/* version.c: zl version and zl info: the truth about this zl. */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/container.h"
#include "cmd/human.h"
#include "cmd/licences.h"
#include "cmd/show.h"
#include "runtime/base/confine.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "runtime/machine.h"

#define OS_RELEASE_MAX (64U << 10)

struct version_flags {
	const char *format;
	bool licenses;
};

static const struct opt version_opts[] = {
	{ OPT_TEXT, 'f', "format", "string", offsetof(struct version_flags, format), NULL,
	  "json|{{.Client.Version}}", "Format output: 'json' or a Go template" },
	{ OPT_BOOL, 0, "licenses", NULL, offsetof(struct version_flags, licenses), NULL, NULL,
	  "Show what is embedded and linked, and under which licences" },
	{ .kind = OPT_END },
};

/* Go's name of the machine we were built for. */
static const char *arch_name(void)
{
#if defined(__x86_64__)
	return "amd64";
#elif defined(__aarch64__)
	return "arm64";
#else
	return "unknown";
#endif
}

/*
 * zl has no API. Programs ask for its version to know what the command line can do: that of
 * docker's release whose commands, words and exit codes are followed here.
 */
#define DOCKER_API     "1.48"
#define DOCKER_API_MIN "1.24"

static struct js *client_of(void)
{
	struct js *j = js_object();

	js_set_text(j, "Version", ZL_VERSION);
	js_set_text(j, "ApiVersion", DOCKER_API);
	js_set_text(j, "DefaultAPIVersion", DOCKER_API);
	js_set_text(j, "GitCommit", "");
	js_set_text(j, "GoVersion", "");
	js_set_text(j, "Os", "linux");
	js_set_text(j, "Arch", arch_name());
	js_set_text(j, "BuildTime", "");
	js_set_text(j, "Context", "default");
	return j;
}

/* What stands in docker's Server and, with texts only, in the details of its component Engine. */
static void set_engine(struct js *j)
{
	struct utsname u;

	js_set_text(j, "ApiVersion", DOCKER_API);
	js_set_text(j, "MinAPIVersion", DOCKER_API_MIN);
	js_set_text(j, "GitCommit", "");
	js_set_text(j, "GoVersion", "");
	js_set_text(j, "Os", "linux");
	js_set_text(j, "Arch", arch_name());
	js_set_text(j, "KernelVersion", uname(&u) == 0 ? u.release : "");
	js_set_text(j, "BuildTime", "");
}

/* There is no server: what serves is this executable. */
static struct js *server_of(void)
{
	struct js *j = js_object(), *platform = js_object(), *all = js_array();
	struct js *engine = js_object(), *details = js_object();

	js_set_text(platform, "Name", "zl");
	js_set(j, "Platform", platform);
	js_set_text(engine, "Name", "Engine");
	js_set_text(engine, "Version", ZL_VERSION);
	set_engine(details);
	js_set_text(details, "Experimental", "false");
	js_set(engine, "Details", details);
	js_push(all, engine);
	js_set(j, "Components", all);
	js_set_text(j, "Version", ZL_VERSION);
	set_engine(j);
	return j;
}

static int print_one(struct js *j, const char *format, struct err *e)
{
	own_js struct js *list = js_array();

	js_push(list, js_copy(j));
	return print_inspected(list, strcmp(format, "json") == 0 ? "{{json .}}" : format, e);
}

static int run_version(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	const struct version_flags *f = flags;
	own_js struct js *j = NULL;

	(void)z;
	(void)ops;
	if (f->licenses) {
		fputs(licences_text, stdout);
		return 0;
	}
	if (f->format && *f->format) {
		j = js_object();
		js_set(j, "Client", client_of());
		js_set(j, "Server", server_of());
		return print_one(j, f->format, e);
	}
	printf("Client: zl\n Version:    %s\n OS/Arch:    linux/%s\n\n"
	       "Server: none; zl needs no service, each container is a process of its own\n",
	       ZL_VERSION, arch_name());
	return 0;
}

const struct command cmd_version = {
	.names = "version",
	.help = "Show the zl version information",
	.usage = "[OPTIONS]",
	.run = run_version,
	.opts = version_opts,
	.flags_size = sizeof(struct version_flags),
	.flags = CMD_COMMON | CMD_PURE,
};

struct info_flags {
	const char *format;
};

static const struct opt info_opts[] = {
	{ OPT_TEXT, 'f', "format", "string", offsetof(struct info_flags, format), NULL,
	  "json|{{json .}}", "Format output: 'json' or a Go template" },
	{ .kind = OPT_END },
};

/* PRETTY_NAME of /etc/os-release. */
static char *os_name(void)
{
	own_str struct str text = STR_INIT;
	own_strv struct strv lines = STRV_INIT;

	if (file_read(AT_FDCWD, "/etc/os-release", OS_RELEASE_MAX, &text, NULL) < 0 || !text.s)
		return xstrdup("Linux");
	strv_split(&lines, text.s, '\n');
	for (size_t i = 0; i < lines.n; i++) {
		const char *v = lines.v[i] + strlen("PRETTY_NAME=");

		if (!str_starts(lines.v[i], "PRETTY_NAME="))
			continue;
		v += *v == '"' || *v == '\'';
		return xstrndup(v, strcspn(v, "\"'"));
	}
	return xstrdup("Linux");
}

static void set_counts(struct js *j, const struct box_list *boxes, size_t images)
{
	size_t running = 0, paused = 0;

	for (size_t i = 0; i < boxes->n; i++) {
		running += boxes->v[i]->state.status == BOX_RUNNING;
		paused += boxes->v[i]->state.status == BOX_PAUSED;
	}
	js_set_text(j, "ID", "");
	js_set_int(j, "Containers", (int64_t)boxes->n);
	js_set_int(j, "ContainersRunning", (int64_t)running);
	js_set_int(j, "ContainersPaused", (int64_t)paused);
	js_set_int(j, "ContainersStopped", (int64_t)(boxes->n - running - paused));
	js_set_int(j, "Images", (int64_t)images);
}

static void set_host(struct js *j)
{
	own_free char *os = os_name();
	struct utsname u;

	if (uname(&u) == 0) {
		js_set_text(j, "KernelVersion", u.release);
		js_set_text(j, "Architecture", u.machine);
		js_set_text(j, "Name", u.nodename);
	}
	js_set_text(j, "OperatingSystem", os);
	js_set_text(j, "OSVersion", "");
	js_set_text(j, "OSType", "linux");
	js_set_int(j, "NCPU", sysconf(_SC_NPROCESSORS_ONLN));
	js_set_int(j, "MemTotal", (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE));
}

static void set_machine(struct js *j)
{
	char why[256] = "";
	int kind = machine_choose((enum machine_kind)machine_wanted(NULL), why, sizeof(why));

	js_set_text(j, "Machine", kind == MACHINE_KVM ? "kvm" : "qemu");
	js_set_text(j, "MachineReason", why);
}

static void set_true(struct js *j, const char *const *keys)
{
	for (; *keys; keys++)
		js_set_bool(j, *keys, true);
}

static struct js *texts(const char *const *words)
{
	struct js *j = js_array();

	for (; *words; words++)
		js_push(j, js_of_text(*words));
	return j;
}

/* What docker's engine tells of its abilities, and what zl has in their places. */
static void set_abilities(struct js *j)
{
	static const char *const can[] = { "MemoryLimit",    "CpuCfsPeriod",
					   "CpuCfsQuota",    "CPUShares",
					   "CPUSet",	     "PidsLimit",
					   "IPv4Forwarding", NULL };
	static const char *const volumes[] = { "local", NULL };
	static const char *const logs[] = { "json-file", "none", NULL };
	static const char *const networks[] = { "none", NULL };
	struct js *plugins = js_object(), *runtimes = js_object(), *own = js_object();

	js_set(plugins, "Volume", texts(volumes));
	js_set(plugins, "Network", texts(networks));
	js_set(plugins, "Authorization", js_null());
	js_set(plugins, "Log", texts(logs));
	js_set(j, "Plugins", plugins);
	set_true(j, can);
	js_set_bool(j, "SwapLimit", false);
	js_set_bool(j, "OomKillDisable", false);
	js_set_bool(j, "Debug", false);
	js_set_text(j, "LoggingDriver", "json-file");
	js_set_text(j, "CgroupDriver", "cgroupfs"); /* in the machines */
	js_set_text(j, "CgroupVersion", "2");
	js_set_int(j, "NEventsListener", 0);
	js_set_text(own, "path", "zl");
	js_set(runtimes, "zl", own);
	js_set(j, "Runtimes", runtimes);
	js_set_text(j, "DefaultRuntime", "zl");
	js_set_bool(j, "LiveRestoreEnabled", true);
	js_set_text(j, "InitBinary", "zl");
	js_set_bool(j, "ExperimentalBuild", false);
	js_set_text(j, "Isolation", "");
	js_set(j, "GenericResources", js_null());
	js_set(j, "Labels", js_array());
	js_set(j, "Warnings", js_null());
}

static struct js *no_swarm(void)
{
	struct js *j = js_object();

	js_set_text(j, "NodeID", "");
	js_set_text(j, "NodeAddr", "");
	js_set_text(j, "LocalNodeState", "inactive");
	js_set_bool(j, "ControlAvailable", false);
	js_set_text(j, "Error", "");
	js_set(j, "RemoteManagers", js_null());
	return j;
}

static const char *variable(const char *lower, const char *upper)
{
	const char *v = getenv(lower);

	v = v && *v ? v : getenv(upper);
	return v ? v : "";
}

static void set_client_info(struct js *j)
{
	struct js *client = client_of();

	js_set_text(j, "HttpProxy", variable("http_proxy", "HTTP_PROXY"));
	js_set_text(j, "HttpsProxy", variable("https_proxy", "HTTPS_PROXY"));
	js_set_text(j, "NoProxy", variable("no_proxy", "NO_PROXY"));
	js_set(j, "Swarm", no_swarm());
	js_set_bool(client, "Debug", false);
	js_set(client, "Plugins", js_array());
	js_set(client, "Warnings", js_null());
	js_set(j, "ClientInfo", client);
}

/* docker's form. What a holder is confined by here: see base/confine.h. */
static void set_security(struct js *j)
{
	struct js *list = js_array();
	int landlock = confine_landlock_version();

	if (confine_has_seccomp())
		js_push(list, js_of_text("name=seccomp,profile=builtin"));
	if (landlock) {
		own_free char *text = xasprintf("name=landlock,version=%d", landlock);

		js_push(list, js_of_text(text));
	}
	js_set(j, "SecurityOptions", list);
}

static struct js *gather(struct zl *z, struct err *e)
{
	own_js struct js *j = js_object();
	struct image_list images;
	struct box_list boxes;
	char now[64];

	if (zl_store(z, e) < 0 || image_list(z->store, &images, e) < 0)
		return NULL;
	if (box_list(&z->dirs, &boxes, e) < 0) {
		image_list_free(&images);
		return NULL;
	}
	set_counts(j, &boxes, images.n);
	image_list_free(&images);
	box_list_free(&boxes);
	js_set_text(j, "Driver", "zl");
	js_set(j, "DriverStatus", js_array());
	rfc3339(now_ns(), now, sizeof(now));
	js_set_text(j, "SystemTime", now);
	set_abilities(j);
	js_set_text(j, "DockerRootDir", z->dirs.root);
	js_set_text(j, "RuntimeDir", z->dirs.runtime);
	set_machine(j);
	set_security(j);
	set_host(j);
	js_set_text(j, "ServerVersion", ZL_VERSION);
	set_client_info(j);
	return steal_ptr(&j);
}

static void print_line(const struct js *j, const char *label, const char *key)
{
	const struct js *v = js_get(j, key);
	int64_t n = 0;

	if (js_int(v, &n))
		printf(" %s: %lld\n", label, (long long)n);
	else
		printf(" %s: %s\n", label, js_text(v) ? js_text(v) : "");
}

/* "name=x,key=value": x, and below it each key. */
static void print_security(const struct js *j)
{
	own_strv struct strv options = STRV_INIT;

	js_strings(js_get(j, "SecurityOptions"), &options);
	puts(options.n ? " Security Options:" : " Security Options: none");
	for (size_t i = 0; i < options.n; i++) {
		own_strv struct strv parts = STRV_INIT;

		strv_split(&parts, options.v[i], ',');
		for (size_t k = 0; k < parts.n; k++) {
			char *value = strchr(parts.v[k], '=');

			if (value)
				*value++ = 0;
			if (k == 0)
				printf("  %s\n", value);
			else
				printf("   %c%s: %s\n", toupper((unsigned char)parts.v[k][0]),
				       parts.v[k] + 1, value);
		}
	}
}

static void print_info(const struct js *j)
{
	int64_t mem = 0;
	char buf[32];

	puts("Client: zl");
	print_line(j, "Version", "ServerVersion");
	puts("\nServer: none; each container is a process of its own");
	print_line(j, "Containers", "Containers");
	print_line(j, " Running", "ContainersRunning");
	print_line(j, " Paused", "ContainersPaused");
	print_line(j, " Stopped", "ContainersStopped");
	print_line(j, "Images", "Images");
	print_line(j, "Root Dir", "DockerRootDir");
	print_line(j, "Runtime Dir", "RuntimeDir");
	print_line(j, "Machine", "Machine");
	print_line(j, " Reason", "MachineReason");
	print_security(j);
	print_line(j, "Kernel Version", "KernelVersion");
	print_line(j, "Operating System", "OperatingSystem");
	print_line(j, "OSType", "OSType");
	print_line(j, "Architecture", "Architecture");
	print_line(j, "CPUs", "NCPU");
	js_int(js_get(j, "MemTotal"), &mem);
	human_size_binary((uint64_t)mem, buf, sizeof(buf));
	printf(" Total Memory: %s\n", buf);
	print_line(j, "Name", "Name");
}

static int run_info(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	const struct info_flags *f = flags;
	own_js struct js *j = gather(z, e);

	(void)ops;
	if (j == NULL)
		return -1;
	if (f->format && *f->format)
		return print_one(j, f->format, e);
	print_info(j);
	return 0;
}

const struct command cmd_info = {
	.names = "system info, info",
	.help = "Display system-wide information",
	.usage = "[OPTIONS]",
	.run = run_info,
	.opts = info_opts,
	.flags_size = sizeof(struct info_flags),
	.flags = CMD_COMMON,
};
