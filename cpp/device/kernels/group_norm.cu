// GroupNorm followed by SiLU over images in bfloat16 whose channels lie together, in 32 groups: Wu and
// He, "Group Normalization" (2018), arXiv:1803.08494. Computes in float32, rounds once, and adds in the
// same order at every run.
//
// Compiled when a process first needs it, for its GPU; tests compile the same text for the host, so
// it includes nothing and uses of CUDA only what tests/cpp/fakes/host_kernels.h stands in for.

typedef unsigned short Bf16;

struct __align__(16) Eight {
  Bf16 v[8];
};
// Of the numbers of one group in one part of an image: their mean, and the sum of the squares of their
// distances from it.
struct __align__(8) Moments {
  float mean;
  float squares;
};

__device__ float Widen(Bf16 bits) { return __uint_as_float(static_cast<unsigned>(bits) << 16); }

// To the nearest, halves to even; what is no number stays none.
__device__ Bf16 Narrow(float value) {
  const unsigned bits = __float_as_uint(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<Bf16>(bits >> 16 | 0x40u);
  return static_cast<Bf16>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
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
  return static_cast<int>(static_cast<long long>(pixels) * part / parts);
}

// moments[image][part][group] of each part of each image. blockIdx.x is the part, blockIdx.y the image.
// A thread adds one column of eight channels, over every so many pixels. REQUIRES: 256 threads, a
// number of channels that divides 2048 and is a multiple of 128; a part for every 2 pixels at most.
extern "C" __global__ void GroupMoments(const Eight* x, Moments* moments, int pixels, int channels,
                                        int parts) {
  __shared__ float sums[256][2];
  __shared__ float squares[256][2];
  const int columns = channels / 8;
  const int lanes = 256 / columns;
  const int part = static_cast<int>(blockIdx.x);
  const int image = static_cast<int>(blockIdx.y);
  const int thread = static_cast<int>(threadIdx.x);
  const int end = First(part + 1, parts, pixels);
  float sum[2] = {};
  float square[2] = {};
  for (int pixel = First(part, parts, pixels) + thread / columns; pixel < end; pixel += lanes) {
    const Eight read = x[(static_cast<long long>(image) * pixels + pixel) * columns +
                         thread % columns];
    for (int i = 0; i < 8; ++i) {
      const float value = Widen(read.v[i]);
      sum[i / 4] += value;
      square[i / 4] += value * value;
    }
  }
  for (int half = 0; half < 2; ++half) {
    sums[thread][half] = sum[half];
    squares[thread][half] = square[half];
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
  const float count = static_cast<float>(end - First(part, parts, pixels)) * halves * 4;
  Moments result;
  result.mean = whole / count;
  result.squares = fmaxf(whole_squares - whole * result.mean, 0.0f);
  moments[(static_cast<long long>(image) * parts + part) * 32 + thread] = result;
}

// What each group is moved and multiplied by: its mean, and 1 / sqrt(variance + eps), as `squares`.
// A block a group of an image: blockIdx.x is the group, blockIdx.y the image. REQUIRES: 32 threads.
extern "C" __global__ void GroupScales(const Moments* moments, Moments* scales, int pixels,
                                       int channels, int parts, float eps) {
  __shared__ Moments joined[32];
  __shared__ float counts[32];
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
  joined[thread] = mine;
  counts[thread] = count;
  __syncthreads();
  if (thread > 0) return;
  for (int i = 1; i < 32; ++i) {
    mine = Joined(mine, count, joined[i], counts[i]);
    count += counts[i];
  }
  Moments result;
  result.mean = mine.mean;
  result.squares = 1.0f / sqrtf(mine.squares / count + eps);
  scales[blockIdx.y * 32 + blockIdx.x] = result;
}

// out = silu((x - mean) * scale * weight + bias), or that without SiLU, eight channels a thread. `out`
// may be `x`.
extern "C" __global__ void GroupApply(const Eight* x, const Moments* scales, const Eight* weight,
                                      const Eight* bias, Eight* out, int pixels, int channels,
                                      long long eights, int has_silu) {
  const long long at = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= eights) return;
  const int columns = channels / 8;
  const int column = static_cast<int>(at % columns);
  const long long image = at / columns / pixels;
  Eight result;
  for (int i = 0; i < 8; ++i) {
    const Moments group = scales[image * 32 + (column * 8 + i) / (channels / 32)];
    const float normed = (Widen(x[at].v[i]) - group.mean) * group.squares;
    float value = normed * Widen(weight[column].v[i]) + Widen(bias[column].v[i]);
    if (has_silu != 0) value = value / (1.0f + expf(-value));
    result.v[i] = Narrow(value);
  }
  out[at] = result;
}
