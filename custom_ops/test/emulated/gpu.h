// What stands in for a GPU: blocks run one after the other, and the threads of a block as fibers
// that take turns where they wait for each other. It finds wrong results, accesses and waiting, not
// wrong speed.
//
// A fiber that waits is told what for and from which line: all must wait for the same. Votes and
// shuffles order no memory, barriers do; ThreadSanitizer is told so, and every fiber is a thread to
// it. Blocks and threads run in an order that changes with each launch.
#ifndef MASKRCNN_EMULATED_GPU_H_
#define MASKRCNN_EMULATED_GPU_H_

#include <cstdint>

namespace emulated {

struct Index {
  unsigned x, y, z;
};

// Runs body(arguments) for each thread of each block. 0, or CUDA's error for sizes that no GPU, or
// not the kernel at this address, takes.
int run_grid(const char* kernel, Index grid, Index block, void (*body)(const void*),
             const void* arguments);

// Called between blocks, when set: who wrote what?
extern void (*after_block)();

// All that follows is called by fibers.
Index thread_index();
Index block_index();
Index block_size();
Index grid_size();

void barrier(int line);
unsigned vote(unsigned mask, bool value, int line);
uint32_t shuffle(unsigned mask, uint32_t bits, int from_lane, int line);

}  // namespace emulated

#endif  // MASKRCNN_EMULATED_GPU_H_
