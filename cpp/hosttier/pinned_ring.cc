#include "hosttier/pinned_ring.h"

#include <sys/mman.h>

#include <string>
#include <system_error>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"
#include "base/log.h"

namespace hearth {

PinnedRing::PinnedRing(Parts parts, std::size_t buffers, std::size_t buffer_bytes)
    : parts_(std::move(parts)), count_(buffers), buffer_bytes_(RoundUpToPage(buffer_bytes)) {
  const std::size_t size = count_ * buffer_bytes_;
  void* address = nullptr;
  const int error = parts_.system->MapAnonymous(size, address);
  if (error != 0) {
    throw Error("no " + FormatBytes(size) + " of RAM for the transfer buffers (" +
                std::generic_category().message(error) + "); close other programs.");
  }
  address_ = static_cast<std::byte*>(address);
  static_cast<void>(parts_.system->Advise(address, size, MADV_DONTFORK));
  static_cast<void>(parts_.system->Advise(address, size, MADV_HUGEPAGE));
  if (parts_.registrar == nullptr) return;
  const RegisterOutcome outcome = parts_.registrar->Register(address_, size);
  is_registered_ = outcome.registered;
  if (!is_registered_) LogInfo("transfer_buffers_unregistered", {{"reason", outcome.refusal}});
}

PinnedRing::~PinnedRing() {
  // What the driver still has is never unmapped: see HostRegistrar.
  if (is_registered_ && !parts_.registrar->Unregister(address_)) return;
  parts_.system->Unmap(address_, count_ * buffer_bytes_);
}

}  // namespace hearth
