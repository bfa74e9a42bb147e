// The public face: every call goes to the one Impl, which handles and tickets share.
#include <utility>

#include "cache/model_cache_impl.h"

namespace hearth {

void ModelHandle::LeaseDeleter::operator()(Lease* lease) const noexcept { delete lease; }
Resident& ModelHandle::operator*() const noexcept { return *lease_->entry().resident; }
Resident* ModelHandle::operator->() const noexcept { return lease_->entry().resident.get(); }
const ModelKey& ModelHandle::key() const noexcept { return lease_->entry().key; }
bool ModelHandle::cached() const noexcept { return lease_->entry().cached; }
bool ModelHandle::was_hit() const noexcept { return lease_->was_hit(); }

bool LoadTicket::IsReady() const noexcept { return state_->cache()->IsDone(state_->flight()); }
ModelHandle LoadTicket::Wait() const { return state_->cache()->Redeem(state_->flight()); }

ModelCache::ModelCache(Parts parts) : impl_(std::make_shared<Impl>(std::move(parts))) {}
ModelCache::~ModelCache() { impl_->Shutdown(true); }
ModelHandle ModelCache::Lookup(const ModelKey& key) { return impl_->Lookup(key); }
ModelHandle ModelCache::Acquire(const LoadRequest& request) {
  const std::shared_ptr<Impl> alive = impl_;  // *this may be destroyed while we wait for a load
  return alive->Acquire(request);
}
LoadTicket ModelCache::Prewarm(const LoadRequest& request) {
  return LoadTicket(std::make_shared<LoadTicket::State>(impl_, impl_->Prewarm(request)));
}
bool ModelCache::RecordUse(const ModelKey& key, bool strong) {
  return impl_->RecordUse(key, strong);
}
void ModelCache::UpdateBytes(const ModelKey& key, const TierBytes& bytes) {
  impl_->UpdateBytes(key, bytes);
}
void ModelCache::Pin(const ModelKey& key) { impl_->SetPinned(key, true); }
void ModelCache::Unpin(const ModelKey& key) { impl_->SetPinned(key, false); }
void ModelCache::KeepAlive(const ModelKey& key, std::optional<double> seconds) {
  impl_->KeepAlive(key, seconds);
}
bool ModelCache::Erase(const ModelKey& key, const std::string& reason) {
  return impl_->EraseWhere([&](const ModelKey& other) { return other == key; }, reason) > 0;
}
std::size_t ModelCache::EraseByName(const std::string& name, const std::string& reason) {
  return impl_->EraseWhere([&](const ModelKey& other) { return other.name == name; }, reason);
}
TierBytes ModelCache::Trim(std::uint64_t host_bytes, std::uint64_t device_bytes,
                           const std::string& reason) {
  return impl_->Trim({0, host_bytes, device_bytes}, reason);
}
void ModelCache::Enforce() { impl_->Enforce(); }
std::optional<double> ModelCache::SecondsToNextExpiry() const {
  return impl_->SecondsToNextExpiry();
}
void ModelCache::LingeringGone(const ModelKey& key) { impl_->LingeringGone(key); }
std::size_t ModelCache::FreeLingering(const std::optional<ModelKey>& key) {
  return impl_->FreeLingering(key);
}
void ModelCache::SetLimits(const CacheLimits& limits) { impl_->SetLimits(limits); }
void ModelCache::SetPolicy(std::unique_ptr<EvictionPolicy> policy) {
  impl_->SetPolicy(std::move(policy));
}
CacheLimits ModelCache::limits() const { return impl_->limits(); }
CacheStats ModelCache::Stats() const { return impl_->Stats(); }
std::vector<ResidentView> ModelCache::Residents() const { return impl_->Residents(); }
EventRing& ModelCache::events() const { return impl_->events(); }
void ModelCache::Shutdown(bool release) { impl_->Shutdown(release); }

}  // namespace hearth
