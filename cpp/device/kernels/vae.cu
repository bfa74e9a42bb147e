// What a VAE does between its convolutions, over images in bfloat16 whose channels lie together.
// Computes in float32, rounds once, and adds in the same order at every run.
//
// Compiled when a process first needs it, for its GPU; tests compile the same text for the host, so
// it includes nothing and uses of CUDA only what tests/cpp/fakes/host_kernels.h stands in for.

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
// Of the numbers of one group in one part of an image: their mean, and the sum of the squares of
// their distances from it.
struct __align__(8) Moments {
  float mean;
  float squares;
};

// How many eights a thread reads before it computes: enough of them on their way to keep the memory
// busy.
constexpr int kHeld = 4;

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

// To the nearest, halves to even; what is no number stays none. One instruction on a GPU.
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

// Adds eight channels of a bias to `to`; `bias` may be null.
__device__ void AddBias(const Eight* bias, int column, float* to) {
  if (bias == nullptr) return;
  float added[8];
  Widen(Load(bias + column), added);
  UNROLLED for (int i = 0; i < 8; ++i) to[i] += added[i];
}

// Two sets of numbers as one: Chan, Golub, LeVeque, "Updating Formulae and a Pairwise Algorithm for
// Computing Sample Variances" (1979), equation 2.1.
__device__ Moments Joined(Moments a, float a_count, Moments b, float b_count) {
  const float count = a_count + b_count;
  if (count == 0.0f) return a;
  const float apart = b.mean - a.mean;
  Moments joined;
  joined.mean = a.mean + apart * (b_count / count);
  joined.squares = a.squares + b.squares + apart * apart * (a_count * b_count / count);
  return joined;
}

// Pixels of part `part` when `parts` share `pixels`: from First(part) to before First(part + 1).
__device__ int First(int part, int parts, int pixels) {
  const int rest = pixels % parts;
  return pixels / parts * part + (part < rest ? part : rest);
}

// Of a column of eight channels: the sums of each half of them, and of their squares.
struct ColumnSums {
  float sum[2];
  float square[2];
};

// The pixels first, first + step, … before `end`.
struct Pixels {
  int first;
  int end;
  int step;
};

// Adds x + bias of those pixels.
__device__ ColumnSums SumColumn(const Eight* x, const float* bias, Pixels pixels, int columns) {
  ColumnSums sums = {};
  for (int pixel = pixels.first; pixel < pixels.end; pixel += kHeld * pixels.step) {
    Eight held[kHeld];
    UNROLLED for (int i = 0; i < kHeld; ++i) {
      const int at = pixel + i * pixels.step;
      held[i] = Eight{};
      if (at < pixels.end) held[i] = Load(x + static_cast<long long>(at) * columns);
    }
    UNROLLED for (int i = 0; i < kHeld; ++i) {
      float values[8];
      Widen(held[i], values);
      const float is_there = pixel + i * pixels.step < pixels.end ? 1.0f : 0.0f;
      UNROLLED for (int j = 0; j < 8; ++j) {
        const float value = values[j] + is_there * bias[j];
        sums.sum[j / 4] += value;
        sums.square[j / 4] += value * value;
      }
    }
  }
  return sums;
}

// moments[image][part][group] of x + added, of each part of each image; `added`, of every channel,
// may be null. blockIdx.x is the part, blockIdx.y the image. A thread adds one column of eight
// channels, over every so many pixels. REQUIRES: 256 threads, a number of channels that divides
// 2048 and is a multiple of 128; a part for every 2 pixels at most. The groups are 32: Wu and He,
// "Group Normalization" (2018), arXiv:1803.08494.
extern "C" __global__ void GroupMoments(const Eight* x, const Eight* added, Moments* moments,
                                        int pixels, int channels, int parts) {
  __shared__ float sums[256][2];
  __shared__ float squares[256][2];
  const int columns = channels / 8;
  const int lanes = 256 / columns;
  const int part = static_cast<int>(blockIdx.x);
  const int thread = static_cast<int>(threadIdx.x);
  const int column = thread % columns;
  const int end = First(part + 1, parts, pixels);
  const Eight* const image = x + static_cast<long long>(blockIdx.y) * pixels * columns + column;
  float bias[8] = {};
  AddBias(added, column, bias);
  const int first = First(part, parts, pixels);
  const ColumnSums mine = SumColumn(image, bias, {first + thread / columns, end, lanes}, columns);
  for (int half = 0; half < 2; ++half) {
    sums[thread][half] = mine.sum[half];
    squares[thread][half] = mine.square[half];
  }
  __syncthreads();
  if (thread >= 32) return;
  const int halves = channels / 128;  // of a group: four channels each
  float whole = 0.0f;
  float whole_squares = 0.0f;
  for (int lane = 0; lane < lanes; ++lane) {
    for (int half = thread * halves; half < (thread + 1) * halves; ++half) {
      whole += sums[lane * columns + half / 2][half % 2];
      whole_squares += squares[lane * columns + half / 2][half % 2];
    }
  }
  const float count = static_cast<float>(end - first) * halves * 4;
  Moments result;
  result.mean = whole / count;
  result.squares = fmaxf(whole_squares - whole * result.mean, 0.0f);
  moments[(static_cast<long long>(blockIdx.y) * parts + part) * 32 + thread] = result;
}

// What each group is moved and multiplied by: its mean, and 1 / sqrt(variance + eps), as `squares`.
// A block a group of an image: blockIdx.x is the group, blockIdx.y the image. REQUIRES: 32 threads.
extern "C" __global__ void GroupScales(const Moments* moments, Moments* scales, int pixels,
                                       int channels, int parts, float eps) {
  const int thread = static_cast<int>(threadIdx.x);
  const float of_pixel = static_cast<float>(channels / 32);
  Moments mine = {};
  float count = 0.0f;
  for (int part = thread; part < parts; part += 32) {
    const long long at = (static_cast<long long>(blockIdx.y) * parts + part) * 32 + blockIdx.x;
    const float more =
        static_cast<float>(First(part + 1, parts, pixels) - First(part, parts, pixels)) * of_pixel;
    mine = Joined(mine, count, moments[at], more);
    count += more;
  }
  for (int mask = 1; mask < 32; mask <<= 1) {
    Moments other;
    other.mean = __shfl_xor_sync(0xffffffffu, mine.mean, mask);
    other.squares = __shfl_xor_sync(0xffffffffu, mine.squares, mask);
    const float more = __shfl_xor_sync(0xffffffffu, count, mask);
    mine = Joined(mine, count, other, more);
    count += more;
  }
  if (thread > 0) return;
  Moments result;
  result.mean = mine.mean;
  result.squares = 1.0f / sqrtf(mine.squares / count + eps);
  scales[blockIdx.y * 32 + blockIdx.x] = result;
}

// What GroupApply() reads and writes: `x` and `out` by images, the others for each channel or
// group.
struct GroupApplyArguments {
  const Eight* x;
  const Moments* scales;
  const Eight* weight;
  const Eight* bias;
  const Eight* added;
  Eight* out;
};

__device__ float Silu(float value) { return __fdividef(value, 1.0f + __expf(-value)); }

// out = silu((x + added - mean) * scale * weight + bias), or that without SiLU; `added` may be
// null. blockIdx.y is the image. A thread has kHeld eights, of the same channels. `out` may be `x`.
// REQUIRES: a number of channels that is a multiple of 128, an eighth of which divides blockDim.x.
extern "C" __global__ void GroupApply(GroupApplyArguments arguments, int pixels, int channels,
                                      int has_silu) {
  const int columns = channels / 8;
  const int column = static_cast<int>(threadIdx.x) % columns;
  const long long eights = static_cast<long long>(pixels) * columns;
  const long long first = static_cast<long long>(blockIdx.x) * kHeld * blockDim.x + threadIdx.x;
  const Eight* const from = arguments.x + blockIdx.y * eights;
  Eight* const to = arguments.out + blockIdx.y * eights;
  Eight held[kHeld];
  UNROLLED for (int i = 0; i < kHeld; ++i) {
    held[i] = Eight{};
    if (first + i * blockDim.x < eights) held[i] = Load(from + first + i * blockDim.x);
  }
  float added[8] = {};
  float factor[8];
  float shift[8];
  AddBias(arguments.added, column, added);
  Widen(Load(arguments.weight + column), factor);
  Widen(Load(arguments.bias + column), shift);
  UNROLLED for (int i = 0; i < 8; ++i) {
    const Moments group =
        arguments.scales[blockIdx.y * 32 + (column * 2 + i / 4) / (channels / 128)];
    added[i] -= group.mean;
    factor[i] *= group.squares;
  }
  UNROLLED for (int i = 0; i < kHeld; ++i) {
    float values[8];
    Widen(held[i], values);
    UNROLLED for (int j = 0; j < 8; ++j) {
      values[j] = (values[j] + added[j]) * factor[j] + shift[j];
      if (has_silu != 0) values[j] = Silu(values[j]);
    }
    if (first + i * blockDim.x < eights) to[first + i * blockDim.x] = Narrow(values);
  }
}

// What SumWithBias() reads and writes: `bias` and `second` for each channel.
struct SumArguments {
  const Eight* x;
  const Eight* y;
  const Eight* bias;
  const Eight* second;
  Eight* out;
};

// out = x + y + bias + second, kHeld eights a thread; all but `y` may be null. `out` may be `x` or
// `y`. REQUIRES: a number of channels that is a multiple of 8, an eighth of which divides
// blockDim.x.
extern "C" __global__ void SumWithBias(SumArguments arguments, int channels, long long eights) {
  const int column = static_cast<int>(threadIdx.x) % (channels / 8);
  const long long first = static_cast<long long>(blockIdx.x) * kHeld * blockDim.x + threadIdx.x;
  Eight x[kHeld];
  Eight y[kHeld];
  UNROLLED for (int i = 0; i < kHeld; ++i) {
    const long long at = first + i * blockDim.x;
    x[i] = y[i] = Eight{};
    if (at < eights) y[i] = Load(arguments.y + at);
    if (at < eights && arguments.x != nullptr) x[i] = Load(arguments.x + at);
  }
  float bias[8] = {};
  AddBias(arguments.bias, column, bias);
  AddBias(arguments.second, column, bias);
  UNROLLED for (int i = 0; i < kHeld; ++i) {
    float values[8];
    float others[8];
    Widen(x[i], values);
    Widen(y[i], others);
    UNROLLED for (int j = 0; j < 8; ++j) values[j] += others[j] + bias[j];
    if (first + i * blockDim.x < eights) arguments.out[first + i * blockDim.x] = Narrow(values);
  }
}

// Every pixel four times: twice as high and as wide. blockIdx.y is the row, of all images.
// REQUIRES: a number of channels that is a multiple of 8.
extern "C" __global__ void DoubleSize(const Eight* x, Eight* out, int width, int channels) {
  const int columns = channels / 8;
  const int at = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const long long row = static_cast<long long>(width) * columns;
  if (at >= row) return;
  const Eight read = Load(x + blockIdx.y * row + at);
  Eight* const to = out + blockIdx.y * 4 * row + at + at / columns * columns;
  to[0] = read;
  to[columns] = read;
  to[2 * row] = read;
  to[2 * row + columns] = read;
}

__device__ void LoadScores(const Quad* row, int at, float scale, float* values) {
  UNROLLED for (int half = 0; half < 2; ++half) {
    const Quad quad = row[2 * at + half];
    UNROLLED for (int i = 0; i < 4; ++i) values[4 * half + i] = quad.v[i] * scale;
  }
}

// The highest of some numbers, and the sum of the powers of e of their distances from it.
struct PowerSum {
  float most;
  float sum;
};

// Of the scaled scores that a thread reads, each blockDim.x eights apart.
__device__ PowerSum SumPowers(const Quad* row, int eights, float scale) {
  PowerSum own = {-3.0e38f, 0.0f};
  for (int at = static_cast<int>(threadIdx.x); at < eights; at += static_cast<int>(blockDim.x)) {
    float values[8];
    LoadScores(row, at, scale, values);
    const float before = own.most;
    UNROLLED for (int i = 0; i < 8; ++i) own.most = fmaxf(own.most, values[i]);
    own.sum *= __expf(before - own.most);
    UNROLLED for (int i = 0; i < 8; ++i) own.sum += __expf(values[i] - own.most);
  }
  return own;
}

// Those of all threads of the block as one, the same for each. REQUIRES: every thread is here.
__device__ PowerSum OfBlock(PowerSum own) {
  __shared__ PowerSum of_warps[32];
  PowerSum all = own;
  for (int mask = 16; mask > 0; mask >>= 1) {
    all.most = fmaxf(all.most, __shfl_xor_sync(0xffffffffu, all.most, mask));
  }
  all.sum *= __expf(own.most - all.most);
  for (int mask = 16; mask > 0; mask >>= 1) {
    all.sum += __shfl_xor_sync(0xffffffffu, all.sum, mask);
  }
  if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = all;
  __syncthreads();
  for (unsigned warp = 0; warp < blockDim.x / 32; ++warp) {
    all.most = fmaxf(all.most, of_warps[warp].most);
  }
  all.sum = 0.0f;
  for (unsigned warp = 0; warp < blockDim.x / 32; ++warp) {
    all.sum += of_warps[warp].sum * __expf(of_warps[warp].most - all.most);
  }
  return all;
}

// out = softmax(scores * scale) of rows of `eights` * 8 numbers, a block a row. The second pass
// over a row finds it in the cache. REQUIRES: blockDim.x is a multiple of 32, no score is infinite.
extern "C" __global__ void ScaledSoftmax(const Quad* scores, Eight* out, int eights, float scale) {
  const Quad* const row = scores + static_cast<long long>(blockIdx.x) * eights * 2;
  const PowerSum all = OfBlock(SumPowers(row, eights, scale));
  const float factor = 1.0f / all.sum;
  for (int at = static_cast<int>(threadIdx.x); at < eights; at += static_cast<int>(blockDim.x)) {
    float values[8];
    LoadScores(row, at, scale, values);
    UNROLLED for (int i = 0; i < 8; ++i) values[i] = __expf(values[i] - all.most) * factor;
    out[static_cast<long long>(blockIdx.x) * eights + at] = Narrow(values);
  }
}
