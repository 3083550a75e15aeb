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

# Without clones: their run-time choice happens before the sanitizers' own start.
declare -A flags=(
  [address]="-DMASKRCNN_NO_CLONES -fsanitize=address,undefined -fno-sanitize-recover=all"
  [thread]="-DMASKRCNN_NO_CLONES -fsanitize=thread"
  [optimised]="-O3"
)
for kind in ${1:-cpu emulated}; do
  for name in ${2:-address thread optimised}; do
    echo "$kind, $name"
    mkdir -p "$build/$name"
    make -s -j2 BUILD="$build/$name" CHECKS="${flags[$name]}" "$build/$name/$kind"
    TSAN_OPTIONS=halt_on_error=1 "$build/$name/$kind"
  done
done
