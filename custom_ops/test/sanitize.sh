#!/bin/bash
# Builds the CPU kernels with sanitizers and runs their checks:  custom_ops/test/sanitize.sh
# Address and undefined behaviour first, then threads, then the build as it ships.
set -euo pipefail
cd "$(dirname "$0")"
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
sources="kernels_test.cc ../roi_align/roi_align_cpu.cc ../roi_align/roi_pool_cpu.cc"
# Without clones: their run-time choice happens before the sanitizers' own start.
compile() { ${CXX:-g++} -std=c++17 -O1 -g -Wall -Wextra -Wno-psabi -pthread "$@" $sources -o "$build/test"; }
echo "address, undefined"
compile -DMASKRCNN_NO_CLONES -fsanitize=address,undefined -fno-sanitize-recover=all
"$build/test"
echo "thread"
compile -DMASKRCNN_NO_CLONES -fsanitize=thread
TSAN_OPTIONS=halt_on_error=1 "$build/test"
echo "as shipped"
compile -O3
"$build/test"
