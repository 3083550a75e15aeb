#!/bin/bash
# Builds the kernels with sanitizers and runs their checks: the CPU's, and CUDA's on an emulated GPU.
#
#   custom_ops/test/sanitize.sh                        # all
#   custom_ops/test/sanitize.sh emulated thread        # one kind, one build
#
# Builds: address and undefined behaviour, threads, optimised. BUILD keeps them in a folder.
set -euo pipefail
cd "$(dirname "$0")"
build=${BUILD:-$(mktemp -d)}
[ -n "${BUILD:-}" ] || trap 'rm -rf "$build"' EXIT

for kind in ${1:-cpu emulated}; do
  for checks in ${2:-address thread optimised}; do
    echo "$kind, $checks"
    mkdir -p "$build/$checks"
    make -s -j2 BUILD="$build/$checks" CHECKS="$checks" "$build/$checks/$kind"
    # Fibers are slow, and their races the same for all types.
    types=
    [ "$kind $checks" != "emulated thread" ] || types=float
    TSAN_OPTIONS=halt_on_error=1 "$build/$checks/$kind" $types
  done
done
