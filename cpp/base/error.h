#ifndef HEARTH_BASE_ERROR_H_
#define HEARTH_BASE_ERROR_H_

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

namespace hearth {

// The root of everything hearth throws on purpose. The class is the contract; the message is for
// people and says what happened, to which model, and what to do about it.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A configuration value that is missing, of the wrong type or out of range.
class ConfigError : public Error {
 public:
  ConfigError(std::string pointer, const std::string& message)
      : Error(message), pointer_(std::move(pointer)) {}
  // JSON pointer of the offending value, e.g. "/unload/policy".
  const std::string& pointer() const noexcept { return pointer_; }

 private:
  std::string pointer_;
};

// A name that is not in the list of known checkpoints.
class CheckpointNotFound : public Error {
 public:
  using Error::Error;
};

// A file that is not what its name promises. Carries the file's name, where in it the fault is, in
// which tensor (empty: in none) and what would be right (empty: the message says it all).
class CheckpointCorrupt : public Error {
 public:
  CheckpointCorrupt(std::string file_name, std::uint64_t byte_offset, const std::string& message,
                    std::string tensor = {}, std::string expected = {})
      : Error(message),
        file_name_(std::move(file_name)),
        byte_offset_(byte_offset),
        tensor_(std::move(tensor)),
        expected_(std::move(expected)) {}
  const std::string& file_name() const noexcept { return file_name_; }
  std::uint64_t byte_offset() const noexcept { return byte_offset_; }
  const std::string& tensor() const noexcept { return tensor_; }
  const std::string& expected() const noexcept { return expected_; }

 private:
  std::string file_name_;
  std::uint64_t byte_offset_;
  std::string tensor_;
  std::string expected_;
};

// A sound file that is another model than the one asked for, or lacks a part of it. Carries the
// first tensor that is missing or has another shape, and what the file looks like (empty: nothing
// known).
class CheckpointMismatch : public Error {
 public:
  CheckpointMismatch(const std::string& message, std::string tensor, std::string looks_like)
      : Error(message), tensor_(std::move(tensor)), looks_like_(std::move(looks_like)) {}
  const std::string& tensor() const noexcept { return tensor_; }
  const std::string& looks_like() const noexcept { return looks_like_; }

 private:
  std::string tensor_;
  std::string looks_like_;
};

// Device memory did not suffice, after one trim and one retry.
class DeviceOutOfMemory : public Error {
 public:
  using Error::Error;
};

// Every resident model is in use or pinned, so no room could be made.
class CacheBusy : public Error {
 public:
  using Error::Error;
};

// The cache was shut down; nothing is loaded any more.
class CacheClosed : public Error {
 public:
  using Error::Error;
};

// A CUDA call failed; the message names the call and the place.
class CudaError : public Error {
 public:
  using Error::Error;
};

}  // namespace hearth

#endif  // HEARTH_BASE_ERROR_H_
