// What the kernels over rows of bfloat16 share; stands before the text of each.
//
// Includes nothing and uses of CUDA only what tests/cpp/fakes/host_kernels.h stands in for.

typedef unsigned short Bf16;

#ifdef __CUDACC__
#define UNROLLED _Pragma("unroll")
#else
#define UNROLLED
#endif

// Eight numbers, two in each: the first in the lower half.
struct __align__(16) Eight {
  unsigned pairs[4];
};
struct __align__(16) Quad {
  float v[4];
};

// In one load: a struct that is copied under a condition is otherwise read in four.
__device__ Eight Load(const Eight* from) {
#ifdef __CUDACC__
  Eight to;
  asm("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];"
      : "=r"(to.pairs[0]), "=r"(to.pairs[1]), "=r"(to.pairs[2]), "=r"(to.pairs[3])
      : "l"(from));
  return to;
#else
  return *from;
#endif
}

__device__ float Lower(unsigned pair) { return __uint_as_float(pair << 16); }
__device__ float Upper(unsigned pair) { return __uint_as_float(pair & 0xffff0000u); }

// To the nearest, halves to even; what is no number stays none. One instruction on a GPU, where it
// would otherwise be most of the work.
__device__ unsigned NarrowPair(float lower, float upper) {
#ifdef __CUDACC__
  unsigned pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(upper), "f"(lower));
  return pair;
#else
  const unsigned bits[2] = {__float_as_uint(lower), __float_as_uint(upper)};
  unsigned narrow[2];
  for (int i = 0; i < 2; ++i) {
    const bool is_number = (bits[i] & 0x7fffffffu) <= 0x7f800000u;
    narrow[i] = is_number ? (bits[i] + 0x7fffu + (bits[i] >> 16 & 1u)) >> 16 : 0x7fffu;
  }
  return narrow[1] << 16 | narrow[0];
#endif
}

__device__ void Widen(const Eight& from, float* to) {
  UNROLLED for (int i = 0; i < 4; ++i) {
    to[2 * i] = Lower(from.pairs[i]);
    to[2 * i + 1] = Upper(from.pairs[i]);
  }
}

__device__ Eight Narrow(const float* values) {
  Eight result;
  UNROLLED for (int i = 0; i < 4; ++i) {
    result.pairs[i] = NarrowPair(values[2 * i], values[2 * i + 1]);
  }
  return result;
}

// How many eights of a row a thread holds: enough of them on their way to keep the memory busy, and
// few threads that have to wait for each other.
constexpr int kHeld = 4;

// A row of `eights` from memory to the threads of a block; zeros behind its end.
__device__ void Take(const Eight* row, int eights, Eight* held) {
  UNROLLED for (int i = 0; i < kHeld; ++i) {
    const int at = static_cast<int>(threadIdx.x + i * blockDim.x);
    held[i] = Eight{};
    if (at < eights) held[i] = Load(row + at);
  }
}
