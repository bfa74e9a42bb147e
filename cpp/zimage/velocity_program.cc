#include "zimage/velocity_program.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "zimage/positions.h"

namespace hearth {
namespace {

at::Tensor NextOf(const at::Tensor& rows, std::int64_t width, std::int64_t* at) {
  const at::Tensor part = rows.narrow(1, *at, width);
  *at += width;
  return part;
}

std::vector<GateRows> GatesIn(const at::Tensor& rows, const std::vector<GateRows>& like,
                              std::int64_t* at) {
  std::vector<GateRows> gates;
  for (const GateRows& each : like) {
    const std::int64_t width = each.scales().size(2);
    const at::Tensor scales = NextOf(rows, 2 * width, at).unflatten(1, {2, width});
    gates.emplace_back(scales, NextOf(rows, 2 * width, at).unflatten(1, {2, width}));
  }
  return gates;
}

// The levels whose numbers are in `rows`, as Packed() laid them there.
PreparedLevels In(const at::Tensor& rows, const PreparedLevels& like) {
  std::int64_t at = 0;
  std::vector<GateRows> refiner = GatesIn(rows, like.refiner, &at);
  std::vector<GateRows> layers = GatesIn(rows, like.layers, &at);
  return {std::move(refiner), std::move(layers), rows.narrow(1, at, like.final_scale.size(1))};
}

PreparedCaption EmptyCaption(const Transformer& transformer, const VelocityShape& shape) {
  const TransformerOptions& options = transformer.options();
  const auto of = at::TensorOptions(options.compute_type).device(options.device);
  return {at::zeros({shape.caption_batch, shape.caption_tokens, transformer.width()}, of),
          CaptionRope(shape.caption_tokens, transformer.head_width(), options.device)};
}

}  // namespace

PreparedSchedule PrepareSchedule(const Transformer& transformer, const Sigmas& sigmas) {
  return {sigmas.values(), transformer.PrepareLevels(sigmas.tensor()), {}};
}

at::Tensor Packed(const PreparedLevels& levels) {
  std::vector<at::Tensor> parts;
  for (const std::vector<GateRows>* const rows : {&levels.refiner, &levels.layers}) {
    for (const GateRows& each : *rows) {
      parts.push_back(each.scales().flatten(1));
      parts.push_back(each.gates().flatten(1));
    }
  }
  parts.push_back(levels.final_scale);
  return at::cat(parts, 1);
}

VelocityProgram::VelocityProgram(const Transformer& transformer, const VelocityShape& shape)
    : transformer_(transformer),
      shape_(shape),
      latents_(at::zeros({shape.batch, transformer.channels(), shape.height, shape.width},
                         at::TensorOptions(at::kFloat).device(transformer.options().device))),
      caption_(EmptyCaption(transformer, shape)),
      image_(transformer.PrepareImage(caption_, shape.height, shape.width)),
      play_([this] { Compute(); }) {
  const PreparedLevels like = transformer.PrepareLevels(at::zeros({1}));
  row_ = Packed(like);
  level_ = In(row_, like);
}

void VelocityProgram::Compute() {
  velocity_ = transformer_.Velocity(latents_, caption_, image_, level_, 0);
}

at::Tensor VelocityProgram::Velocity(const at::Tensor& latents, const PreparedCaption& caption,
                                     const at::Tensor& row) {
  const c10::NoGradGuard no_grad;
  latents_.copy_(latents);
  caption_.tokens.copy_(caption.tokens);
  row_.copy_(row.unsqueeze(0));
  play_();
  return velocity_;
}

std::shared_ptr<const PreparedSchedule> VelocityPrograms::ScheduleOf(const Sigmas& sigmas) {
  if (schedule_ && schedule_->sigmas == sigmas.values()) return schedule_;
  PreparedSchedule schedule = PrepareSchedule(transformer_, sigmas);
  schedule.rows = Packed(schedule.levels);
  schedule_ = std::make_shared<const PreparedSchedule>(std::move(schedule));
  return schedule_;
}

std::shared_ptr<VelocityProgram> VelocityPrograms::For(const VelocityShape& shape) {
  const std::int64_t patches = (shape.height + 1) / 2 * ((shape.width + 1) / 2);
  if (!recorder_ || shape.batch * (patches + shape.caption_tokens) > kMaxTokens) return nullptr;
  const auto found = std::find_if(programs_.begin(), programs_.end(),
                                  [&](const auto& each) { return each->shape() == shape; });
  if (found != programs_.end()) {
    programs_.splice(programs_.begin(), programs_, found);
    return programs_.front();
  }
  if (programs_.size() == kMaxPrograms) programs_.pop_back();
  const auto program = std::make_shared<VelocityProgram>(transformer_, shape);
  VelocityProgram* const itself = program.get();
  program->PlayBy(recorder_([itself] { itself->Compute(); }));
  programs_.push_front(program);
  return program;
}

}  // namespace hearth
