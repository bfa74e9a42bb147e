#ifndef HEARTH_TESTS_FAKES_HOST_KERNELS_H_
#define HEARTH_TESTS_FAKES_HOST_KERNELS_H_

#include <barrier>
#include <bit>
#include <cmath>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

// As much of CUDA as hearth's kernels use, on the host: one block after the other, its threads real
// ones. Includes a kernel's text after this, in a namespace, and runs it with RunGrid().
#define __device__ inline
#define __global__ inline
#define __shared__ static  // blocks do not overlap
#define __align__(bytes) alignas(bytes)

namespace hearth::host_kernels {

struct Index {
  unsigned x = 0;
  unsigned y = 0;
};
inline thread_local Index threadIdx;
inline Index blockIdx;
inline Index blockDim;
inline Index gridDim;

inline std::unique_ptr<std::barrier<>> block_barrier;
inline std::vector<float> exchanged;

inline void __syncthreads() { block_barrier->arrive_and_wait(); }
// Of the whole block at once: kernels call it where all of their warps come by.
inline float __shfl_xor_sync(unsigned, float value, int mask) {
  exchanged[threadIdx.x] = value;
  __syncthreads();
  const float other = exchanged[threadIdx.x ^ static_cast<unsigned>(mask)];
  __syncthreads();
  return other;
}
inline float __uint_as_float(unsigned bits) { return std::bit_cast<float>(bits); }
using std::fabs;
inline float __expf(float value) { return std::exp(value); }
inline float __fdividef(float value, float by) { return value / by; }
inline unsigned __float_as_uint(float value) { return std::bit_cast<unsigned>(value); }

// Runs `kernel` for every thread of a grid.
inline void RunGrid(Index grid, unsigned threads, const std::function<void()>& kernel) {
  blockDim = {threads, 1};
  gridDim = grid;
  exchanged.assign(threads, 0.0F);
  // The threads stay from block to block: to start them takes longer than all that they compute.
  std::barrier<> between(static_cast<std::ptrdiff_t>(threads));
  const auto run_all_blocks = [&](unsigned thread) {
    threadIdx = {thread, 0};
    for (unsigned block = 0; block < grid.x * grid.y; ++block) {
      if (thread == 0) {
        blockIdx = {block % grid.x, block / grid.x};
        block_barrier = std::make_unique<std::barrier<>>(static_cast<std::ptrdiff_t>(threads));
      }
      between.arrive_and_wait();
      kernel();
      block_barrier->arrive_and_drop();  // who has returned is not waited for
      between.arrive_and_wait();
    }
  };
  std::vector<std::jthread> block;
  for (unsigned i = 0; i < threads; ++i) block.emplace_back(run_all_blocks, i);
}

}  // namespace hearth::host_kernels

#endif  // HEARTH_TESTS_FAKES_HOST_KERNELS_H_
