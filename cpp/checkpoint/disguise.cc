#include "checkpoint/disguise.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace hearth {
namespace {

struct Disguise {
  std::string_view start;
  std::string_view what;
};

constexpr std::string_view kPickleAdvice =
    "a PyTorch checkpoint (it can run code when it is loaded); rename it to .ckpt or .pt, or have "
    "it "
    "converted to safetensors";
constexpr std::string_view kUnpackAdvice = "an archive; unpack it first";

constexpr std::array<Disguise, 15> kBinary = {{
    {"version https://git-lfs",
     "a Git LFS pointer, not the file itself; run `git lfs pull`, or download the file"},
    {"GGUF", "a GGUF file; rename it to .gguf and load it with a GGUF loader"},
    {"lmgg", "an old GGML file; ComfyUI's stock loaders do not read it"},
    {"tjgg", "an old GGML file; ComfyUI's stock loaders do not read it"},
    {std::string_view("PK\x03\x04", 4), kPickleAdvice},
    {std::string_view("PK\x05\x06", 4), "an empty zip archive"},
    {std::string_view("7z\xbc\xaf\x27\x1c", 6), kUnpackAdvice},
    {std::string_view("Rar!\x1a\x07", 6), kUnpackAdvice},
    {std::string_view("\x1f\x8b\x08", 3), kUnpackAdvice},
    {std::string_view("\x28\xb5\x2f\xfd", 4), kUnpackAdvice},
    {std::string_view("\xfd"
                      "7zXZ",
                      5),
     kUnpackAdvice},
    {std::string_view("\x89HDF\r\n\x1a\n", 8), "an HDF5 file (Keras); it must be converted"},
    {std::string_view("\x89PNG", 4), "a PNG picture"},
    {std::string_view("\xff\xd8\xff", 3), "a JPEG picture"},
    {std::string_view("\x93NUMPY", 6), "a NumPy array file; it must be converted"},
}};

constexpr std::string_view kPageAdvice =
    "a web page, not a model: the link led to a login or error page; download the file again, "
    "signed in";

// Without leading spaces and byte order mark, in lower case.
std::string AsText(std::string_view prefix) {
  if (prefix.substr(0, 3) == "\xef\xbb\xbf") prefix.remove_prefix(3);
  const std::size_t start = prefix.find_first_not_of(" \t\r\n");
  std::string text(start == std::string_view::npos ? std::string_view() : prefix.substr(start));
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// A header's length, which a sound file begins with, has zero bytes among its eight.
bool IsText(std::string_view prefix) {
  constexpr std::size_t kEnough = 16;
  if (prefix.size() < kEnough) return false;
  return std::all_of(prefix.begin(), prefix.begin() + kEnough, [](unsigned char c) {
    return std::isprint(c) != 0 || c == '\n' || c == '\r' || c == '\t';
  });
}

bool IsPickle(std::string_view prefix) {
  return prefix.size() > 2 && prefix[0] == '\x80' && prefix[1] >= 2 && prefix[1] <= 5;
}

bool IsTar(std::string_view prefix) {
  constexpr std::size_t kMagicAt = 257;
  return prefix.size() > kMagicAt + 5 && prefix.substr(kMagicAt, 5) == "ustar";
}

}  // namespace

std::optional<std::string> NameDisguise(std::string_view prefix) {
  for (const Disguise& disguise : kBinary) {
    if (prefix.substr(0, disguise.start.size()) == disguise.start)
      return std::string(disguise.what);
  }
  if (IsPickle(prefix)) return std::string(kPickleAdvice);
  if (IsTar(prefix)) return std::string(kUnpackAdvice);
  const std::string text = AsText(prefix);
  for (const std::string_view tag : {"<!doctype", "<html", "<head", "<?xml", "<script"}) {
    if (text.compare(0, tag.size(), tag) == 0) return std::string(kPageAdvice);
  }
  if (text.compare(0, 2, "{\"") == 0 || text.compare(0, 3, "{\n ") == 0) {
    return "a JSON text, not a model: probably a server's error message saved under this name; "
           "download the file again";
  }
  if (IsText(prefix)) return "a text, not a model; download the file again";
  if (prefix.size() >= 16 && prefix.find_first_not_of('\0') == std::string_view::npos) {
    return "empty space: room was made for it but nothing was written; wait for the download to "
           "end, or start it again";
  }
  return std::nullopt;
}

}  // namespace hearth
