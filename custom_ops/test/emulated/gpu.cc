#include "gpu.h"

#include <link.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

// The sanitizers look at the kernels, not at this file: fibers share its variables on purpose. So
// there are no containers here, whose functions would be instrumented.
#define UNCHECKED __attribute__((no_sanitize("address", "thread"), noinline))

// Bounds of the section that tells where the empty instructions of __launch_bounds__ start.
extern "C" {
extern const char* __start___patchable_function_entries[] __attribute__((weak));
extern const char* __stop___patchable_function_entries[] __attribute__((weak));
}

namespace emulated {

void (*after_block)() = nullptr;

namespace {

constexpr unsigned kWarp = 32, kMaxThreads = 1024, kMaxDepth = 64, kMaxGridSide = 65535;
constexpr int kInvalidConfiguration = 9;  // cudaErrorInvalidConfiguration
constexpr size_t kStackBytes = 256 << 10;

enum class State { kEnded, kReady, kBarrier, kVote, kShuffle };
const char* const kStateNames[] = {"ended", "is ready", "is at a barrier", "votes", "shuffles"};

struct Fiber {
  ucontext_t context;
  const void* stack;
  size_t stack_bytes;
  void* fake_stack;  // AddressSanitizer's
  void* thread;      // ThreadSanitizer's
  State state;
  int line;
  Index index;
  uint32_t bits;    // given to a vote or shuffle
  int from_lane;    // of a shuffle
  uint32_t result;  // of either
};

struct Gpu {
  Fiber host;
  Fiber fibers[kMaxThreads];
  Fiber* current;
  Fiber* left;  // ran before the current one
  unsigned ready[kMaxThreads];
  unsigned ready_count;
  unsigned arrived[kMaxThreads / kWarp];  // lanes of a warp that wait for a vote or shuffle
  unsigned threads;
  Index grid, block, block_index;
  void (*body)(const void*);
  const void* arguments;
  char* shared;  // of all kernels
  size_t shared_bytes;
  unsigned barriers;  // passed
  // Their addresses order memory for ThreadSanitizer. Barriers take turns: who leaves the one must
  // not see what others did before the next.
  char start, end, barrier[2];
};

Gpu gpu;
uint64_t random_state = 0;

// From 0 to bound - 1 (splitmix64).
UNCHECKED uint64_t draw(uint64_t bound) {
  if (random_state == 0) {
    const char* seed = std::getenv("EMULATED_SEED");
    random_state = seed ? std::strtoull(seed, nullptr, 10) : 1;
  }
  uint64_t z = random_state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return (z ^ z >> 31) % bound;
}

[[noreturn]] UNCHECKED void fail(const char* what) {
  std::fprintf(stderr, "FAILED emulated GPU: %s\n", what);
  std::fprintf(stderr, "block %u %u %u of %u %u %u, %u threads:\n", gpu.block_index.x,
               gpu.block_index.y, gpu.block_index.z, gpu.grid.x, gpu.grid.y, gpu.grid.z,
               gpu.threads);
  for (unsigned i = 0; i < gpu.threads; ++i) {
    const Fiber& fiber = gpu.fibers[i];
    const bool same = i > 0 && fiber.state == gpu.fibers[i - 1].state &&
                      fiber.line == gpu.fibers[i - 1].line;
    if (!same)
      std::fprintf(stderr, "  thread %u %s, line %d; those after it too\n", i,
                   kStateNames[static_cast<int>(fiber.state)], fiber.line);
  }
  std::exit(1);
}

UNCHECKED void release(char* place) {
#if defined(__SANITIZE_THREAD__)
  __tsan_release(place);
#else
  (void)place;
#endif
}

UNCHECKED void acquire(char* place) {
#if defined(__SANITIZE_THREAD__)
  __tsan_acquire(place);
#else
  (void)place;
#endif
}

UNCHECKED void arrive() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(gpu.current->fake_stack, &gpu.left->stack,
                                  &gpu.left->stack_bytes);
#endif
}

UNCHECKED void switch_to(Fiber* fiber) {
  Fiber* self = gpu.current;
  if (fiber == self) return;
  gpu.left = self;
  gpu.current = fiber;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&self->fake_stack, fiber->stack, fiber->stack_bytes);
#endif
#if defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(fiber->thread, __tsan_switch_to_fiber_no_sync);
#endif
  swapcontext(&self->context, &fiber->context);
  arrive();
}

UNCHECKED void make_ready(unsigned thread) {
  gpu.fibers[thread].state = State::kReady;
  gpu.ready[gpu.ready_count++] = thread;
}

// Lets all threads pass the barrier at which they must be; those that ended need not.
UNCHECKED void pass_barrier() {
  int line = 0;
  for (unsigned i = 0; i < gpu.threads; ++i) {
    const Fiber& fiber = gpu.fibers[i];
    if (fiber.state == State::kEnded) continue;
    if (fiber.state != State::kBarrier) fail("lanes are missing in a vote or shuffle");
    if (line != 0 && fiber.line != line) fail("threads are at different barriers");
    line = fiber.line;
  }
  ++gpu.barriers;
  for (unsigned i = 0; i < gpu.threads; ++i)
    if (gpu.fibers[i].state == State::kBarrier) make_ready(i);
}

// The lanes of a warp have all arrived.
UNCHECKED void settle(unsigned warp) {
  Fiber* lanes = gpu.fibers + warp * kWarp;
  unsigned votes = 0;
  for (unsigned i = 0; i < kWarp; ++i) {
    if (lanes[i].state != lanes[0].state || lanes[i].line != lanes[0].line)
      fail("lanes vote or shuffle at different places");
    votes |= (lanes[i].bits & 1u) << i;
  }
  for (unsigned i = 0; i < kWarp; ++i)
    lanes[i].result = lanes[i].state == State::kVote
                          ? votes
                          : lanes[static_cast<unsigned>(lanes[i].from_lane) % kWarp].bits;
  gpu.arrived[warp] = 0;
  for (unsigned i = 0; i < kWarp; ++i) make_ready(warp * kWarp + i);
}

// A fiber that can go on, or the host when all have ended.
UNCHECKED Fiber* choose() {
  if (gpu.ready_count == 0) pass_barrier();
  if (gpu.ready_count == 0) return &gpu.host;
  const unsigned at = static_cast<unsigned>(draw(gpu.ready_count));
  const unsigned thread = gpu.ready[at];
  gpu.ready[at] = gpu.ready[--gpu.ready_count];
  return &gpu.fibers[thread];
}

UNCHECKED void live() {
  arrive();
  for (;;) {
    acquire(&gpu.start);
    gpu.body(gpu.arguments);
    release(&gpu.end);
    gpu.current->state = State::kEnded;
    switch_to(choose());
  }
}

UNCHECKED void create(Fiber* fiber) {
  void* stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                     -1, 0);
  if (stack == MAP_FAILED) fail("no memory for a stack");
  fiber->stack = stack;
  fiber->stack_bytes = kStackBytes;
#if defined(__SANITIZE_THREAD__)
  fiber->thread = __tsan_create_fiber(0);
#endif
  getcontext(&fiber->context);
  fiber->context.uc_stack.ss_sp = stack;
  fiber->context.uc_stack.ss_size = kStackBytes;
  fiber->context.uc_link = nullptr;
  makecontext(&fiber->context, live, 0);
  // AddressSanitizer would clear the whole stack's shadow on each switch.
  fiber->context.uc_stack.ss_size = 0;
}

// What is thread-local in the program or library that this function is part of, which are the
// kernels' shared variables.
UNCHECKED int find_shared_memory(dl_phdr_info* module, size_t, void*) {
  const ElfW(Phdr)* local = nullptr;
  bool is_ours = false;
  const auto self = reinterpret_cast<uintptr_t>(&find_shared_memory);
  for (int i = 0; i < module->dlpi_phnum; ++i) {
    const ElfW(Phdr)& part = module->dlpi_phdr[i];
    if (part.p_type == PT_TLS) local = &part;
    is_ours |= part.p_type == PT_LOAD && self - module->dlpi_addr - part.p_vaddr < part.p_memsz;
  }
  if (!is_ours || local == nullptr) return 0;
  gpu.shared = static_cast<char*>(module->dlpi_tls_data);
  gpu.shared_bytes = gpu.shared == nullptr ? 0 : local->p_memsz;
  return 1;
}

// Floats of it are not a number, and integers are absurd.
UNCHECKED void poison_shared_memory() {
  volatile uint32_t* words = reinterpret_cast<uint32_t*>(gpu.shared);
  for (size_t i = 0; i < gpu.shared_bytes / sizeof(*words); ++i) words[i] = UINT32_MAX;
}

UNCHECKED void run_block() {
  poison_shared_memory();
  gpu.ready_count = 0;
  for (unsigned i = 0; i < gpu.threads; ++i) {
    Fiber* fiber = &gpu.fibers[i];
    if (fiber->stack == nullptr) create(fiber);
    fiber->index = {i % gpu.block.x, i / gpu.block.x % gpu.block.y,
                    i / gpu.block.x / gpu.block.y};
    fiber->line = 0;
    make_ready(i);
  }
  release(&gpu.start);
  switch_to(choose());
  acquire(&gpu.end);
  if (after_block != nullptr) after_block();
}

UNCHECKED void wait(State state, int line) {
  gpu.current->state = state;
  gpu.current->line = line;
  const unsigned warp = static_cast<unsigned>(gpu.current - gpu.fibers) / kWarp;
  if (state != State::kBarrier && ++gpu.arrived[warp] == kWarp) settle(warp);
  switch_to(choose());
}

UNCHECKED uint32_t exchange(State state, unsigned mask, uint32_t bits, int from_lane, int line) {
  if (mask != 0xffffffffu) fail("only whole warps vote and shuffle here");
  gpu.current->bits = bits;
  gpu.current->from_lane = from_lane;
  wait(state, line);
  return gpu.current->result;
}

// The threads of a block that the kernel was declared for; kMaxThreads where it was not.
UNCHECKED uint64_t launch_bound(const char* kernel) {
#if defined(__aarch64__)
  constexpr uint64_t instruction_bytes = 4;
#else
  constexpr uint64_t instruction_bytes = 1;
#endif
  for (const char** at = __start___patchable_function_entries;
       at != __stop___patchable_function_entries; ++at) {
    const uint64_t threads = static_cast<uint64_t>(kernel - *at) / instruction_bytes;
    if (*at < kernel && threads <= kMaxThreads) return threads;
  }
  return kMaxThreads;
}

UNCHECKED uint64_t common_divisor(uint64_t a, uint64_t b) {
  while (b != 0) {
    const uint64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

}  // namespace

UNCHECKED int run_grid(const char* kernel, Index grid, Index block, void (*body)(const void*),
                       const void* arguments) {
  const uint64_t threads = static_cast<uint64_t>(block.x) * block.y * block.z;
  if (threads == 0 || threads > launch_bound(kernel) || block.x > kMaxThreads || block.y > kMaxThreads ||
      block.z > kMaxDepth || grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > INT32_MAX ||
      grid.y > kMaxGridSide || grid.z > kMaxGridSide)
    return kInvalidConfiguration;
  gpu.grid = grid;
  gpu.block = block;
  gpu.threads = static_cast<unsigned>(threads);
  gpu.body = body;
  gpu.arguments = arguments;
  gpu.current = &gpu.host;
  dl_iterate_phdr(find_shared_memory, nullptr);
#if defined(__SANITIZE_THREAD__)
  gpu.host.thread = __tsan_get_current_fiber();
#endif
  // Steps that have no divisor in common with the number of blocks come to each once.
  const uint64_t blocks = static_cast<uint64_t>(grid.x) * grid.y * grid.z;
  uint64_t step = 1 + draw(blocks), at = draw(blocks);
  while (common_divisor(step, blocks) != 1) ++step;
  for (uint64_t k = 0; k < blocks; ++k, at = (at + step) % blocks) {
    gpu.block_index = {static_cast<unsigned>(at % grid.x),
                       static_cast<unsigned>(at / grid.x % grid.y),
                       static_cast<unsigned>(at / grid.x / grid.y)};
    run_block();
  }
  return 0;
}

UNCHECKED Index thread_index() { return gpu.current->index; }
UNCHECKED Index block_index() { return gpu.block_index; }
UNCHECKED Index block_size() { return gpu.block; }
UNCHECKED Index grid_size() { return gpu.grid; }

UNCHECKED void barrier(int line) {
  char* place = &gpu.barrier[gpu.barriers % 2];
  release(place);
  wait(State::kBarrier, line);
  acquire(place);
}

UNCHECKED unsigned vote(unsigned mask, bool value, int line) {
  return exchange(State::kVote, mask, value, 0, line);
}

UNCHECKED uint32_t shuffle(unsigned mask, uint32_t bits, int from_lane, int line) {
  return exchange(State::kShuffle, mask, bits, from_lane, line);
}

}  // namespace emulated
