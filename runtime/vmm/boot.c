/* boot.c: puts kernel, initramfs and the PVH start info into guest memory. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/own.h"
#include "runtime/vmm/vmm.h"

/*
 * The kernel is an uncompressed vmlinux with a PVH note (Xen's
 * docs/misc/pvh.pandoc): entered in 32-bit protected mode with ebx pointing
 * to a start info. Its page-aligned segments are not read but mapped over
 * guest memory, privately: the text stays shared in the host's page cache by
 * all VMs, and starting reads nothing.
 */

#define PVH_NOTE	 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
#define PVH_MAGIC	 0x336ec578
#define KERNEL_PHDRS_MAX 16
#define NOTES_MAX	 4096

/* Guest addresses in low memory. */
#define START_INFO   0x6000
#define START_MODULE 0x6100
#define START_MEMMAP 0x6200
#define CMDLINE	     0x20000
#define CMDLINE_MAX  4096
#define HIGH_START   0x100000
#define PAGE	     4096ULL

struct start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist_paddr, cmdline_paddr, rsdp_paddr, memmap_paddr;
	uint32_t memmap_entries, reserved;
};

struct start_module {
	uint64_t paddr, size, cmdline_paddr, reserved;
};

struct start_memmap {
	uint64_t addr, size;
	uint32_t type, reserved;
};

#define MEMMAP_RAM	1
#define MEMMAP_RESERVED 2

/* The entry point, from the notes' segment. */
static bool find_entry(const uint8_t *notes, size_t len, uint32_t *entry)
{
	while (len >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr n;
		size_t name, desc;

		memcpy(&n, notes, sizeof(n));
		name = ((size_t)n.n_namesz + 3) & ~(size_t)3;
		desc = ((size_t)n.n_descsz + 3) & ~(size_t)3;
		notes += sizeof(n);
		len -= sizeof(n);
		if (name > len || desc > len - name)
			return false;
		if (n.n_type == PVH_NOTE && n.n_namesz == 4 && memcmp(notes, "Xen", 4) == 0 &&
		    n.n_descsz >= sizeof(*entry)) {
			memcpy(entry, notes + name, sizeof(*entry));
			return true;
		}
		notes += name + desc;
		len -= name + desc;
	}
	return false;
}

static int bad_kernel(const struct machine_spec *spec, const char *why, struct err *e)
{
	return err_set(e, ENOEXEC, "kernel %s: %s", spec->kernel, why);
}

static int load_segment(struct vmm *v, int fd, const struct machine_spec *spec, const Elf64_Phdr *p,
			uint64_t *end, struct err *e)
{
	uint64_t whole = p->p_filesz & ~(PAGE - 1);
	uint8_t *to = gmem_at(&v->mem, p->p_paddr, p->p_memsz);

	if (to == NULL || p->p_filesz > p->p_memsz || p->p_paddr < HIGH_START)
		return bad_kernel(spec, "a segment lies outside of guest memory (use a larger -m)",
				  e);
	if ((p->p_paddr | p->p_offset) & (PAGE - 1))
		whole = 0;
	if (whole && mmap(to, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd,
			  (off_t)p->p_offset) == MAP_FAILED)
		return err_sys(e, "map %s", spec->kernel);
	while (whole < p->p_filesz) {
		ssize_t n =
			pread(fd, to + whole, p->p_filesz - whole, (off_t)(p->p_offset + whole));

		if (n <= 0)
			return bad_kernel(spec, "it is cut short", e);
		whole += (uint64_t)n;
	}
	if (p->p_paddr + p->p_memsz > *end)
		*end = p->p_paddr + p->p_memsz;
	return 0;
}

static int load_kernel(struct vmm *v, const struct machine_spec *spec, uint32_t *entry,
		       uint64_t *end, struct err *e)
{
	own_fd int fd = open(spec->kernel, O_RDONLY | O_CLOEXEC);
	Elf64_Phdr ph[KERNEL_PHDRS_MAX];
	uint8_t notes[NOTES_MAX];
	bool found = false;
	Elf64_Ehdr h;

	if (fd < 0)
		return err_sys(e, "open kernel %s", spec->kernel);
	if (pread(fd, &h, sizeof(h), 0) != sizeof(h) || memcmp(h.e_ident, ELFMAG, SELFMAG) ||
	    h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_machine != EM_X86_64 ||
	    h.e_phentsize != sizeof(*ph) || h.e_phnum == 0 || h.e_phnum > KERNEL_PHDRS_MAX)
		return bad_kernel(spec, "not an x86-64 ELF kernel (vmlinux)", e);
	if (pread(fd, ph, h.e_phnum * sizeof(*ph), (off_t)h.e_phoff) !=
	    (ssize_t)(h.e_phnum * sizeof(*ph)))
		return bad_kernel(spec, "it is cut short", e);
	for (unsigned i = 0; i < h.e_phnum; i++) {
		if (ph[i].p_type == PT_NOTE && !found && ph[i].p_filesz <= sizeof(notes)) {
			ssize_t n = pread(fd, notes, ph[i].p_filesz, (off_t)ph[i].p_offset);

			found = n > 0 && find_entry(notes, (size_t)n, entry);
		}
		if (ph[i].p_type == PT_LOAD && ph[i].p_memsz) {
			int rc = load_segment(v, fd, spec, &ph[i], end, e);

			if (rc < 0)
				return rc;
		}
	}
	return found ? 0 : bad_kernel(spec, "it has no PVH entry (CONFIG_PVH)", e);
}

/* As high as it fits in low memory, page-aligned. */
static int load_initrd(struct vmm *v, const struct machine_spec *spec, uint64_t kernel_end,
		       struct start_module *mod, struct err *e)
{
	own_fd int fd = open(spec->initrd, O_RDONLY | O_CLOEXEC);
	uint64_t low = v->mem.r[0].size, size;
	struct stat st;
	uint8_t *to;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, "open initramfs %s", spec->initrd);
	size = (uint64_t)st.st_size;
	if (size > low || low - size < kernel_end + PAGE)
		return err_set(e, ENOMEM, "the initramfs does not fit into guest memory");
	mod->paddr = (low - size) & ~(PAGE - 1);
	mod->size = size;
	to = gmem_at(&v->mem, mod->paddr, size);
	for (uint64_t done = 0; done < size;) {
		ssize_t n = pread(fd, to + done, size - done, (off_t)done);

		if (n <= 0)
			return err_set(e, EIO, "initramfs %s: cut short", spec->initrd);
		done += (uint64_t)n;
	}
	return 0;
}

int boot_load(struct vmm *v, const struct machine_spec *spec, const char *cmdline, uint32_t *entry,
	      uint32_t *info, struct err *e)
{
	struct start_module mod = { 0 };
	struct start_memmap map[5] = {
		{ 0, X86_LOW_END, MEMMAP_RAM, 0 },
		{ X86_LOW_END, HIGH_START - X86_LOW_END, MEMMAP_RESERVED, 0 },
		{ HIGH_START, v->mem.r[0].size - HIGH_START, MEMMAP_RAM, 0 },
	};
	struct start_info si = {
		.magic = PVH_MAGIC,
		.version = 1,
		.nr_modules = 1,
		.modlist_paddr = START_MODULE,
		.cmdline_paddr = CMDLINE,
		.memmap_paddr = START_MEMMAP,
		.memmap_entries = 3,
	};
	uint64_t end = 0;
	int rc;

	if (strlen(cmdline) >= CMDLINE_MAX)
		return err_set(e, E2BIG, "the kernel's command line is too long");
	rc = load_kernel(v, spec, entry, &end, e);
	if (rc == 0)
		rc = load_initrd(v, spec, end, &mod, e);
	if (rc < 0)
		return rc;
	if (v->mem.n > 1 && v->more == NULL)
		map[si.memmap_entries++] =
			(struct start_memmap){ VMM_HIGH, v->mem.r[1].size, MEMMAP_RAM, 0 };
	memcpy(v->ram + START_INFO, &si, sizeof(si));
	memcpy(v->ram + START_MODULE, &mod, sizeof(mod));
	memcpy(v->ram + START_MEMMAP, map, sizeof(map));
	memcpy(v->ram + CMDLINE, cmdline, strlen(cmdline) + 1);
	x86_mp_table(v->ram, v->ncpus);
	*info = START_INFO;
	return 0;
}
