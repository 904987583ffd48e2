# zl: make, make demo, make check, make lint, make fuzz, make bench, make install
#
#   STATIC=0                       a dynamic executable for quick work: build/dyn/zl
#   SANITIZE=address,undefined     the same with sanitizers: build/san/zl
VERSION = 0.1.0
PREFIX ?= /usr/local
CC = gcc
STATIC ?= 1

# --- where things go: guest parts and libraries in build/, the host's objects apart by kind of build
ifdef SANITIZE
O := build/san
else ifeq ($(STATIC),1)
O := build/static
else
O := build/dyn
endif
ZL := $(if $(filter build/static,$O),build/zl,$O/zl)

# --- how it is compiled
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla
CFLAGS ?= -O2 -g
BASE := -std=gnu11 -D_GNU_SOURCE -iquote . $(WARN) -ffunction-sections -fdata-sections -MMD -MP
# Libraries from Debian's source packages.
MADE := build/curl build/isal build/slirp
GLIB := -isystem /usr/include/glib-2.0 -isystem /usr/lib/$(shell gcc -print-multiarch 2>/dev/null)/glib-2.0/include
HOST := $(BASE) $(MADE:%=-isystem %/include) $(GLIB) -DZL_VERSION='"$(VERSION)"'
LIBS := -lcurl -lisal -lnghttp2 -lssl -lcrypto -larchive -lacl -llzma -llz4 -lbz2 -lzstd -lz -ljansson \
	-lslirp -lglib-2.0 -lpcre2-8 -lm -pthread
LINK := $(MADE:%=-L %/lib) -Wl,--gc-sections -no-pie
ifdef SANITIZE
HOST += -fno-pie -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
LINK += -fsanitize=$(SANITIZE)
else
HOST += -fno-pie -fstack-protector-strong -D_FORTIFY_SOURCE=2
endif
MUSL := musl-gcc -Os $(BASE) -idirafter /usr/include -idirafter /usr/include/$(shell gcc -dumpmachine 2>/dev/null) \
	-fno-pie -fno-asynchronous-unwind-tables -static -no-pie -s -Wl,--gc-sections

# Commands are shown whole with V=1.
SAY = $(if $(V),,@echo "  $(1) $@" &&)
# --- what there is
SRC := $(filter-out cmd/main.c,$(wildcard cmd/*.c oci/*.c vsock/*.c runtime/*.c runtime/*/*.c runtime/*/*/*.c))
OBJ := $(SRC:%.c=$O/%.o)
AGENT_SRC := $(wildcard guest/*.c vsock/*.c) $(filter-out runtime/base/json.c runtime/base/confine%,$(wildcard runtime/base/*.c))
GUEST_OBJ := $(patsubst %.c,$O/%.o,$(filter-out guest/main.c,$(wildcard guest/*.c)))
UNIT := $(patsubst %.c,$O/%,$(wildcard tests/unit/test_*.c))
UNIT_HELP := $(patsubst %.c,$O/%.o,$(filter-out tests/unit/test_%,$(wildcard tests/unit/*.c)))
FUZZ := $(patsubst %.c,$O/%,$(wildcard tests/fuzz/fuzz_*.c))

all: $(ZL)

# --- the executable
build/zl: $O/zl
	strip -o $@ $<
$O/zl: $O/cmd/main.o $O/libzl.a $O/libembed.a
	$(call SAY,LD) $(CC) $(LINK) $(if $(filter build/static,$O),-static) -o $@ $^ $(LIBS)
$O/libzl.a: $(OBJ)
	$(call SAY,AR) rm -f $@ && ar rcs $@ $^
$O/libembed.a: $O/cmd/embed.o
	$(call SAY,AR) rm -f $@ && ar rcs $@ $^
$O/libguest.a: $(GUEST_OBJ)
	$(call SAY,AR) rm -f $@ && ar rcs $@ $^
$O/%.o: %.c Makefile | $(MADE)
	@mkdir -p $(@D)
	$(call SAY,CC) $(CC) $(HOST) $(CFLAGS) -c -o $@ $<
$O/cmd/embed.o: cmd/embed.S build/kernel build/initramfs build/hello.tar build/bundle_id
	@mkdir -p $(@D)
	$(call SAY,AS) $(CC) -Wa,-Ibuild -c -o $@ $<

# --- what is embedded or built from Debian's sources (cached under ~/.cache/zl-build)
build/.deps: .ci/packages .ci/deps
	.ci/deps -n build
	@mkdir -p build && touch $@
$(MADE): runtime/lib.sh | build/.deps
	runtime/lib.sh $(@F) $@ && touch $@
build/kernel: guest/kernel.sh guest/kernel.config $(wildcard guest/kernel-*.patch) | build/.deps
	guest/kernel.sh $@ && touch $@
build/guest/%.o: %.c Makefile | build/.deps
	@mkdir -p $(@D)
	$(call SAY,CC) $(MUSL) -c -o $@ $<
build/agent: $(AGENT_SRC:%.c=build/guest/%.o)
	$(call SAY,LD) $(MUSL) -o $@ $^
build/initramfs: build/agent guest/initramfs.sh
	guest/initramfs.sh build/agent >$@.new && mv $@.new $@
build/hello: build/guest/guest/hello/hello.o
	$(call SAY,LD) $(MUSL) -o $@ $^
build/hello.tar: build/hello guest/hello/image.sh
	guest/hello/image.sh build/hello >$@.new && mv $@.new $@
build/bundle_id: build/kernel build/initramfs
	cat build/kernel/vmlinux.zst build/initramfs | sha256sum | head -c 16 >$@

# A make within make uses all processors, unless -j was given.
ALL_MAKE = $(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))
# --- tests
$O/tests/unit/test_guest_%: $O/tests/unit/test_guest_%.o $(UNIT_HELP) $O/libguest.a $O/libzl.a $O/libembed.a
	$(call SAY,LD) $(CC) $(LINK) -o $@ $^ -lcmocka $(LIBS)
$O/tests/unit/test_%: $O/tests/unit/test_%.o $(UNIT_HELP) $O/libzl.a $O/libembed.a
	$(call SAY,LD) $(CC) $(LINK) -o $@ $^ -lcmocka $(LIBS)
# Fuzzers are this same build by clang, in a folder of its own.
FUZZ_MAKE = $(ALL_MAKE) CC=clang O=build/fuzz SANITIZE=fuzzer-no-link,address,undefined
build/fuzz/tests/fuzz/fuzz_%: build/fuzz/tests/fuzz/fuzz_%.o $O/libguest.a $O/libzl.a $O/libembed.a
	$(call SAY,LD) $(CC) $(LINK) -fsanitize=fuzzer -o $@ $^ $(LIBS)
fuzzers: $(FUZZ)

check: deps
	@$(ALL_MAKE) $(ZL) unit
	@ZL=$(ZL) UNIT_DIR=$O/tests/unit TEST_PART=1 tests/run lint unit cli docker vm kvm
check-quick: $(ZL) $(UNIT)
	@ZL=$(ZL) UNIT_DIR=$O/tests/unit QUICK=1 tests/run lint unit cli docker
check-unit: $(UNIT)
	@UNIT_DIR=$O/tests/unit tests/run unit
check-cli: $(ZL) $O/tests/unit/test_fuse_mount
	@ZL=$(ZL) UNIT_DIR=$O/tests/unit tests/run cli
check-vm: $(ZL)
	@ZL=$(ZL) tests/run vm
check-kvm: $(ZL)
	@ZL=$(ZL) tests/run kvm
unit: $(UNIT)
lint: | $(MADE)
	tests/lint/lint
fuzz: | $(MADE)
	$(FUZZ_MAKE) fuzzers
	tests/fuzz/run build/fuzz/tests/fuzz
bench: $(ZL)
	ZL=$(ZL) tests/bench/bench
bench-kvm: $(ZL)
	tests/lib/images.sh build/tests/images
	ZL=$(ZL) tests/bench/kvm
bench-life: $(ZL)
	ZL=$(ZL) tests/bench/life
bench-streams: $(ZL)
	ZL=$(ZL) tests/bench/streams
bench-pull: $(ZL)
	ZL=$(ZL) tests/bench/pull

# --- for people
deps:
	@.ci/deps build check
demo:
	@.ci/deps build
	@$(ALL_MAKE) build/zl
	@.ci/demo build/zl
install: $(ZL)
	install -D -m 755 $(ZL) $(DESTDIR)$(PREFIX)/bin/zl
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man5
	install -m 644 man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 man/*.5 $(DESTDIR)$(PREFIX)/share/man/man5
	install -D -m 644 completions/zl.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/zl
	install -D -m 644 completions/_zl $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_zl
	install -D -m 644 completions/zl.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/zl.fish
clean:
	rm -rf build

.PHONY: all check check-quick check-unit check-cli check-vm check-kvm unit lint fuzz fuzzers bench bench-kvm bench-life bench-streams bench-pull deps demo install clean
.DELETE_ON_ERROR:
.SECONDARY:
-include $(shell find $O build/guest -name '*.d' 2>/dev/null)
