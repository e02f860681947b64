# tapeop: plain GNU make.  `make help` names the targets.
# SPDX-License-Identifier: Apache-2.0
#
# Every source is found by wildcard: a new file needs no line here.  All objects
# but main.o go into one archive a variant, so a test links only what it uses.

CC := $(if $(filter default,$(origin CC)),gcc,$(CC))
CLANG ?= clang
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 20

SRC      := $(sort $(wildcard src/*.c src/*/*.c))
LIB_SRC  := $(filter-out src/main.c,$(SRC))
API_OBJ  := $(patsubst %.c,build/lib/%.o,$(filter src/lib/% src/wire/% \
	    src/base/%,$(SRC)))
UNIT     := $(patsubst test/unit/%.c,%,$(sort $(wildcard test/unit/*_test.c)))
UNIT_AID := $(filter-out %_test.c,$(sort $(wildcard test/unit/*.c)))
FUZZ     := $(patsubst test/fuzz/%.c,%,$(sort $(wildcard test/fuzz/*_fuzz.c)))
NODE     := $(sort $(wildcard $(patsubst %,test/%/*.test.mjs,peer crash cli browser)))
TEST_BINS := $(UNIT:%=build/release/test/unit/%) \
	    $(FUZZ:%=build/release/test/fuzz/%)
BENCH    := $(sort $(wildcard test/bench/*.bench.mjs))
BENCH_AID := $(patsubst test/bench/%.c,%,$(sort $(wildcard test/bench/*.c)))
ASSETS   := $(shell find assets console 2>/dev/null)

# --- flags ------------------------------------------------------------------

PKGS := opus ogg openssl libcurl libmicrohttpd jansson sqlite3 yaml-0.1 zlib

# Asked once and only when something is compiled: `make help`, `make clean` and
# `make run` on a machine without the libraries must get as far as tools/setup.
pkg = $(shell pkg-config $(1) $(2) || echo missing)
need = $(if $(filter missing,$(1)),$(error a library is missing (above): run \
	`tools/setup build test` first),$(1))
once = $(eval $(1) := $$(call need,$$(call pkg,$(2),$(3))))$($(1))
PKG_CFLAGS  = $(call once,PKG_CFLAGS,--cflags,$(PKGS))
PKG_LIBS    = $(call once,PKG_LIBS,--libs,$(PKGS))
CMOCKA_LIBS = $(call once,CMOCKA_LIBS,--libs,cmocka)

WARN := -Wall -Wextra -Wshadow -Wvla -Wundef -Wformat=2 -Wcast-qual \
	-Wpointer-arith -Wwrite-strings -Wstrict-prototypes \
	-Wmissing-prototypes -Wold-style-definition -Wimplicit-fallthrough
WARN += $(if $(filter 1,$(WERROR)),-Werror)

# assert() stays on in every variant: never -DNDEBUG.
BASE_CPPFLAGS := -D_GNU_SOURCE -Isrc -Iinclude
BASE_CFLAGS   := -std=c17 -g $(WARN) -fstack-protector-strong -fPIE
BASE_LDFLAGS  := -pie -Wl,-z,relro,-z,now -Wl,--as-needed
LDLIBS         = $(PKG_LIBS) -lmp3lame -lm -lpthread
ASAN := -fsanitize=address,undefined -fno-sanitize-recover=all
VARIANTS := release asan tsan cov fuzz lib
$(foreach v,release cov lib,$(eval CC_$(v) := $(CC)))
$(foreach v,asan tsan fuzz,$(eval CC_$(v) := $(CLANG)))
FLAGS_release := -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
FLAGS_lib     := $(FLAGS_release) -fPIC -fvisibility=hidden -DMEM_PLAIN
FLAGS_asan    := -O1 -fno-omit-frame-pointer $(ASAN)
FLAGS_tsan    := -O1 -fno-omit-frame-pointer -fsanitize=thread
FLAGS_cov     := -O0 --coverage
FLAGS_fuzz    := -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link $(ASAN)

# --- targets ----------------------------------------------------------------

.PHONY: all run lib test test-bins unit fuzz-replay fuzz-short cov lint \
	format bench install clean help FORCE $(VARIANTS:%=unit-%) $(VARIANTS:%=node-%)
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:

all: build/tapeop
build/tapeop: build/release/tapeop
	@ln -sfn release/tapeop $@

help:
	@echo 'make            build/tapeop (release)'
	@echo 'make run        install what is missing, build, `tapeop demo $$ARGS`'
	@echo 'make lib        build/lib/libtapeop.a, .so.1: include/tapeop.h'
	@echo 'make test       install what is missing, build, run every test'
	@echo 'make unit-asan  unit tests (also unit, unit-tsan, unit-cov)'
	@echo 'make node-asan  node tests, with that binary (also node-tsan, ..); some:'
	@echo '                NODE="test/peer/10_spine.test.mjs .."'
	@echo 'make fuzz-short each fuzz target for FUZZ_SECONDS=20 (also fuzz-replay)'
	@echo 'make cov        line coverage of the unit tests, by file'
	@echo 'make lint       layers, banned words, format, clang-tidy, cppcheck'
	@echo 'make format     put every file into the format lint asks for'
	@echo 'make bench      the benchmarks in test/bench'
	@echo 'make install    PREFIX=/usr/local DESTDIR='
	@echo 'WERROR=1: warnings are errors; V=1: whole commands; one test alone:'
	@echo '  make build/asan/test/unit/NAME && build/asan/test/unit/NAME'

# A second make each: the first has read the machine before setup changed it.
JOBS_FLAG = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(JOBS))
run:
	@tools/setup build
	@$(MAKE) --no-print-directory $(JOBS_FLAG) build/tapeop
	@exec build/tapeop demo $(ARGS)

test:
	@tools/setup build test
	@$(MAKE) --no-print-directory $(JOBS_FLAG) build/tapeop test-bins lib
	@tools/run-tests $(TEST_BINS) $(NODE)

test-bins: $(TEST_BINS) ; @:
unit: unit-release

fuzz-replay: $(FUZZ:%=build/release/test/fuzz/%)
	@tools/run-tests $^
fuzz-short: $(FUZZ:%=build/fuzz/test/fuzz/%)
	@tools/fuzz $(FUZZ_SECONDS) $^

cov: unit-cov
	@tools/coverage build/cov

lint:
	@CC=$(CC) CPPFLAGS='$(BASE_CPPFLAGS) $(PKG_CFLAGS)' tools/lint

format:
	clang-format -i $(wildcard src/*.[ch] src/*/*.[ch] include/*.h examples/*.c test/*/*.[ch])

bench: build/tapeop $(BENCH_AID:%=build/release/test/bench/%)
	@tools/setup bench; for f in $(BENCH); do node "$$f" || exit 1; done

TO = $(DESTDIR)$(PREFIX)
install: build/tapeop lib
	install -d $(TO)/bin $(TO)/include $(TO)/lib/pkgconfig
	install build/release/tapeop $(TO)/bin
	install -m 644 include/tapeop.h $(TO)/include
	install -m 644 build/lib/libtapeop.a build/lib/libtapeop.so.1 $(TO)/lib
	ln -sfn libtapeop.so.1 $(TO)/lib/libtapeop.so
	sed 's|@PREFIX@|$(PREFIX)|' src/lib/tapeop.pc.in >$(TO)/lib/pkgconfig/tapeop.pc
clean:
	rm -rf build

# --- rules, once a variant --------------------------------------------------

Q   := $(if $(V),,@)
say  = $(if $(V),,@printf '  %-5s %s\n' '$(1)' '$(2)')
# $(call stamp,TEXT): a file that changes only when TEXT does.
stamp = @mkdir -p $(@D) && echo '$(subst ','\'',$(1))' | cmp -s - $@ || \
	echo '$(subst ','\'',$(1))' >$@
# $(call link,VARIANT,MORE LIBRARIES)
define link
$(call say,LINK,$@)
$(Q)$(CC_$(1)) $(BASE_LDFLAGS) $(FLAGS_$(1)) $(LDFLAGS) -o $@ $^ $(2) $(LDLIBS)
endef

build/gen/assets.c: tools/embed $(ASSETS)
	@mkdir -p $(@D)
	$(Q)tools/embed $@ assets console

define variant
LIB_OBJ_$(1) := $(LIB_SRC:%.c=build/$(1)/%.o) build/$(1)/build/gen/assets.o
AID_OBJ_$(1) := $(UNIT_AID:%.c=build/$(1)/%.o)
CFLAGS_$(1) = $$(BASE_CPPFLAGS) $$(BASE_CFLAGS) $$(FLAGS_$(1)) $$(CFLAGS)

build/$(1)/flags: FORCE
	$$(call stamp,$$(CC_$(1)) $$(CFLAGS_$(1)) $$(LDFLAGS))
build/$(1)/sources: FORCE
	$$(call stamp,$$(LIB_OBJ_$(1)))

build/$(1)/src/wire/%.o: EXTRA := -Wconversion
build/$(1)/test/fuzz/%.o: EXTRA := -Wno-missing-prototypes
build/$(1)/%.o: %.c build/$(1)/flags
	@mkdir -p $$(@D)
	$$(call say,CC,$$@)
	$(Q)$$(CC_$(1)) $$(CFLAGS_$(1)) $$(EXTRA) $$(PKG_CFLAGS) -MMD -MP -c $$< -o $$@

# q, not r: two folders may each have a file of the same name.
build/$(1)/all.a: $$(LIB_OBJ_$(1)) build/$(1)/sources
	@rm -f $$@
	$(Q)ar qcs $$@ $$(LIB_OBJ_$(1))

build/$(1)/tapeop: build/$(1)/src/main.o build/$(1)/all.a
	$$(call link,$(1))
build/$(1)/test/unit/%: build/$(1)/test/unit/%.o $$(AID_OBJ_$(1)) build/$(1)/all.a
	$$(call link,$(1),$$(CMOCKA_LIBS))

unit-$(1): $(UNIT:%=build/$(1)/test/unit/%)
	@tools/run-tests $$^
node-$(1): build/$(1)/tapeop
	@TAPEOP=$$(CURDIR)/$$< tools/run-tests $(NODE)
endef
$(foreach v,$(VARIANTS),$(eval $(call variant,$(v))))

lib: build/lib/libtapeop.so.1
build/lib/libtapeop.so.1: $(API_OBJ) src/lib/tapeop.map tools/library
	$(call say,LIB,$@)
	$(Q)CC='$(CC)' LDFLAGS='$(LDFLAGS)' tools/library $(@D) $(API_OBJ)

build/release/test/fuzz/%: build/release/test/fuzz/%.o \
		build/release/test/fuzz/replay_main.o build/release/all.a
	$(call link,release)
build/fuzz/test/fuzz/%: build/fuzz/test/fuzz/%.o build/fuzz/all.a
	$(call link,fuzz,-fsanitize=fuzzer)

build/release/test/bench/%: build/release/test/bench/%.o build/release/all.a
	$(call link,release)

FORCE:
-include $(shell find build -name '*.d' 2>/dev/null)
