#include "hosttier/file_reader.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "base/log.h"
#include "checkpoint/byte_source.h"

namespace hearth {
namespace {

constexpr std::uint64_t kDirectAlignment = 4096;  // enough for every disk that is sold

class DescriptorSource final : public ByteSource {
 public:
  explicit DescriptorSource(const MappedFile& file) : file_(file) {}
  const std::string& name() const override { return file_.name(); }
  std::uint64_t size() const override { return file_.size(); }
  ReadOutcome ReadAt(std::uint64_t offset, char* into, std::size_t size) const override {
    return file_.system().Read(file_.descriptor(), offset, into, size);
  }

 private:
  const MappedFile& file_;
};

}  // namespace

FileReader::FileReader(const MappedFile& file, ReadPath path, std::uint64_t room_bytes)
    : file_(file) {
  if (path == ReadPath::kPageCache) return;
  if (path == ReadPath::kAuto && !WantsDirect(room_bytes)) return;
  // A second descriptor of the same file, whatever its name leads to by now.
  const std::string self = "/proc/self/fd/" + std::to_string(file.descriptor());
  const int error = file.system().Open(self, O_RDONLY | O_DIRECT | O_CLOEXEC, direct_descriptor_);
  if (error == 0) return;
  direct_descriptor_ = -1;
  LogInfo("direct_read_refused",
          {{"file", file.name()}, {"file_system", file.file_system()}, {"instead", "page cache"}});
}

FileReader::~FileReader() {
  if (direct_descriptor_ >= 0) file_.system().Close(direct_descriptor_);
}

bool FileReader::WantsDirect(std::uint64_t room_bytes) const {
  return room_bytes < file_.size() && CachedShare() < 0.5;
}

// Of pages spread over the file.
double FileReader::CachedShare() const {
  if (file_.address() == nullptr) return 1.0;  // not known; the page cache is never wrong
  constexpr std::uint64_t kSamples = 256;
  const std::uint64_t pages = RoundUpToPage(file_.size()) / PageSize();
  const std::uint64_t samples = std::min(kSamples, pages);
  std::uint64_t there = 0;
  for (std::uint64_t i = 0; i < samples; ++i) {
    unsigned char state = 0;
    const std::byte* const page = file_.address() + pages * i / samples * PageSize();
    if (file_.system().InMemory(page, PageSize(), &state) != 0) return 1.0;
    there += state & 1u;
  }
  return static_cast<double>(there) / static_cast<double>(samples);
}

std::byte* FileReader::Read(std::uint64_t offset, std::size_t size, std::byte* buffer) const {
  if (is_direct()) {
    const std::uint64_t before = offset % kDirectAlignment;
    if (ReadDirect(offset - before, size + before, buffer)) return buffer + before;
  }
  ReadExactly(DescriptorSource(file_), offset, reinterpret_cast<char*>(buffer), size);
  return buffer;
}

// False: what is asked for must be read in the usual way, which also says what is wrong.
bool FileReader::ReadDirect(std::uint64_t offset, std::size_t size, std::byte* buffer) const {
  std::size_t done = 0;
  while (done < size) {
    const std::uint64_t left = size - done;
    const std::size_t most = (left + kDirectAlignment - 1) / kDirectAlignment * kDirectAlignment;
    const ReadOutcome got = file_.system().Read(direct_descriptor_, offset + done,
                                                reinterpret_cast<char*>(buffer) + done, most);
    if (got.error == EINTR) continue;
    if (got.error == EINVAL && !direct_refused_.exchange(true)) {
      LogInfo("direct_read_refused", {{"file", file_.name()},
                                      {"file_system", file_.file_system()},
                                      {"instead", "page cache"}});
    }
    if (got.error != 0 || got.bytes == 0) return false;
    done += got.bytes;
    if (done < size && done % kDirectAlignment != 0) return false;
  }
  return true;
}

}  // namespace hearth
