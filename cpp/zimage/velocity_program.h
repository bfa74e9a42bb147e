#ifndef HEARTH_ZIMAGE_VELOCITY_PROGRAM_H_
#define HEARTH_ZIMAGE_VELOCITY_PROGRAM_H_

#include <ATen/core/Tensor.h>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <vector>

#include "sampling/sigmas.h"
#include "zimage/transformer.h"

namespace hearth {

// All that the work of one step depends on beside its numbers.
struct VelocityShape {
  std::int64_t batch;
  std::int64_t height;  // of the latents
  std::int64_t width;
  std::int64_t caption_batch;
  std::int64_t caption_tokens;  // padded

  auto operator<=>(const VelocityShape&) const = default;
};

// The velocity of one shape through fixed places: all that Compute() reads and writes lies where it
// lay the last time, so that what it sends to a device can be recorded once and played again. Keeps
// its transformer by reference. One thread at a time.
class VelocityProgram {
 public:
  using Play = std::function<void()>;

  VelocityProgram(const Transformer& transformer, const VelocityShape& shape);

  const VelocityShape& shape() const { return shape_; }
  // What takes Compute()'s place; it must have had the same effect when it returns, or have sent it
  // to the stream of the calling thread.
  void PlayBy(Play play) { play_ = std::move(play); }
  void Compute();

  // As Transformer::Velocity, of which `row` is a level's row of Packed(). The answer is
  // overwritten by the next call. REQUIRES: latents and caption of this shape.
  at::Tensor Velocity(const at::Tensor& latents, const PreparedCaption& caption,
                      const at::Tensor& row);

 private:
  const Transformer& transformer_;
  VelocityShape shape_;
  at::Tensor latents_;
  PreparedCaption caption_;
  PreparedImage image_;
  at::Tensor row_;
  PreparedLevels level_;  // views of row_
  at::Tensor velocity_;
  Play play_;
};

// All that depends on the noise level, one row for each.
at::Tensor Packed(const PreparedLevels& levels);

// What the steps of one schedule share, whatever the image.
struct PreparedSchedule {
  std::vector<double> sigmas;
  PreparedLevels levels;
  at::Tensor rows;  // Packed(levels)
};

// Without its rows.
PreparedSchedule PrepareSchedule(const Transformer& transformer, const Sigmas& sigmas);

// The programs of one transformer by shape, the last few used; the memory of what was recorded goes
// with them. Keeps the transformer by reference. One thread at a time.
class VelocityPrograms {
 public:
  // More would keep memory for sizes that nobody asks for any longer: at 1024 x 1024 some 400 MiB.
  static constexpr std::size_t kMaxPrograms = 4;
  // With more tokens than this the device is busy long enough that nothing is won.
  static constexpr std::int64_t kMaxTokens = 8192;
  // Makes what plays a program of `compute`.
  using Recorder = std::function<VelocityProgram::Play(VelocityProgram::Play compute)>;

  explicit VelocityPrograms(const Transformer& transformer) : transformer_(transformer) {}

  // For programs made from now on.
  void RecordBy(Recorder recorder) { recorder_ = std::move(recorder); }
  // The last one asked for is kept: image after image has the same.
  std::shared_ptr<const PreparedSchedule> ScheduleOf(const Sigmas& sigmas);
  // Null where none is worth while, or nobody records. Valid until kMaxPrograms others were asked
  // for.
  std::shared_ptr<VelocityProgram> For(const VelocityShape& shape);
  std::size_t size() const { return programs_.size(); }

 private:
  const Transformer& transformer_;
  Recorder recorder_;
  std::list<std::shared_ptr<VelocityProgram>> programs_;  // the last used first
  std::shared_ptr<const PreparedSchedule> schedule_;
};

}  // namespace hearth

#endif  // HEARTH_ZIMAGE_VELOCITY_PROGRAM_H_
