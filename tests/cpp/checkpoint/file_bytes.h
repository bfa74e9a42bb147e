#ifndef HEARTH_TESTS_CHECKPOINT_FILE_BYTES_H_
#define HEARTH_TESTS_CHECKPOINT_FILE_BYTES_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace hearth {

// The 8 bytes a safetensors file starts with.
inline std::string LengthField(std::uint64_t length) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(length >> (8 * i) & 0xff);
  return bytes;
}

// A safetensors file of this header and so many bytes of data.
inline std::string FileBytes(std::string_view header, std::size_t data_bytes = 0) {
  return LengthField(header.size()) + std::string(header) + std::string(data_bytes, '\x01');
}

// The header entry of one tensor: `"name":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}`.
inline std::string Entry(const std::string& name, const std::string& dtype,
                         const std::string& shape, const std::string& offsets) {
  return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" +
         offsets + "}";
}

}  // namespace hearth

#endif  // HEARTH_TESTS_CHECKPOINT_FILE_BYTES_H_
