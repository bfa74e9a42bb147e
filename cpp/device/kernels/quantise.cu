// Rows of bfloat16 as 8-bit floats (e4m3: Micikevicius et al., "FP8 Formats for Deep Learning"
// (2022), arXiv:2209.05433), each row with a scale of its own.
//
// Compiled behind eights.cuh when a process first needs it, for a GPU of compute capability 8.9 or
// higher; tests compile the same text for the host.

// The nearest, halves to even, no more than 448; the first in the lower byte.
__device__ unsigned ShortenPair(float lower, float upper) {
#ifdef __CUDACC__
  unsigned short pair;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(upper), "f"(lower));
  return pair;
#else
  return EightBits(upper) << 8 | EightBits(lower);
#endif
}

struct __align__(8) Bytes {
  unsigned fours[2];
};

// The largest size in a row, the same for every thread. REQUIRES: blockDim.x is a multiple of 32,
// every thread of the block is here.
__device__ float RowMost(const Eight* held) {
  __shared__ float of_warps[32];
  float most = 0.0f;
  UNROLLED for (int i = 0; i < kHeld; ++i) {
    float values[8];
    Widen(held[i], values);
    UNROLLED for (int j = 0; j < 8; ++j) most = fmaxf(most, fabsf(values[j]));
  }
  for (int mask = 16; mask > 0; mask >>= 1) {
    most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, mask));
  }
  if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = most;
  __syncthreads();
  for (unsigned warp = 0; warp < blockDim.x / 32; ++warp) most = fmaxf(most, of_warps[warp]);
  return most;
}

// out * scales[row] = x, as near as may be. A block a row. REQUIRES: kHeld blockDim.x >= eights.
extern "C" __global__ void QuantiseRows(const Eight* x, Bytes* out, float* scales, int eights) {
  const long long row = static_cast<long long>(blockIdx.x) * eights;
  Eight held[kHeld];
  Take(x + row, eights, held);
  // A row of zeros has any scale.
  const float scale = fmaxf(RowMost(held), 1e-12f) / 448.0f;
  if (threadIdx.x == 0) scales[blockIdx.x] = scale;
  UNROLLED for (int i = 0; i < kHeld; ++i) {
    const int at = static_cast<int>(threadIdx.x + i * blockDim.x);
    if (at >= eights) continue;
    float values[8];
    Widen(held[i], values);
    UNROLLED for (int j = 0; j < 8; ++j) values[j] /= scale;
    Bytes result;
    UNROLLED for (int j = 0; j < 2; ++j) {
      result.fours[j] = ShortenPair(values[4 * j + 2], values[4 * j + 3]) << 16 |
                        ShortenPair(values[4 * j], values[4 * j + 1]);
    }
    out[row + at] = result;
  }
}
