#include "device/kernel_compiler.h"

#include <array>
#include <cstddef>

#include "base/error.h"
#include "device/symbols.h"

namespace hearth {
namespace {

using Program = struct ProgramOpaque*;
using Result = int;

// What hearth uses of NVRTC's binary interface, which is the same in all of these versions.
constexpr std::array<const char*, 2> kLibraries{"libnvrtc.so.13", "libnvrtc.so.12"};

struct CompilerApi {
  Result (*create)(Program* program, const char* source, const char* name, int headers,
                   const char* const* header_sources, const char* const* header_names);
  Result (*compile)(Program program, int options, const char* const* texts);
  Result (*image_size)(Program program, std::size_t* bytes);
  Result (*image)(Program program, char* bytes);
  Result (*log_size)(Program program, std::size_t* bytes);
  Result (*log)(Program program, char* text);
  Result (*destroy)(Program* program);
};

// All or nothing: a library that lacks one is none.
bool Bind(void* library, CompilerApi& api) {
  Symbols symbols(library);
  symbols.Bind("nvrtcCreateProgram", api.create);
  symbols.Bind("nvrtcCompileProgram", api.compile);
  symbols.Bind("nvrtcGetCUBINSize", api.image_size);
  symbols.Bind("nvrtcGetCUBIN", api.image);
  symbols.Bind("nvrtcGetProgramLogSize", api.log_size);
  symbols.Bind("nvrtcGetProgramLog", api.log);
  symbols.Bind("nvrtcDestroyProgram", api.destroy);
  return symbols.has_all();
}

struct Compiler {
  CompilerApi api{};
  bool is_there = false;
};

Compiler FindCompiler() {
  Compiler compiler;
  for (const char* const name : kLibraries) {
    void* const library = OpenLibrary(name);
    compiler.is_there = library != nullptr && Bind(library, compiler.api);
    if (compiler.is_there) break;
  }
  return compiler;
}

class OwnedProgram {
 public:
  OwnedProgram(const CompilerApi& api, const std::string& source, const std::string& name)
      : api_(api) {
    if (api_.create(&program_, source.c_str(), name.c_str(), 0, nullptr, nullptr) != 0) {
      throw CudaError("NVRTC did not take the text of " + name + ".");
    }
  }
  ~OwnedProgram() { static_cast<void>(api_.destroy(&program_)); }
  OwnedProgram(const OwnedProgram&) = delete;
  OwnedProgram& operator=(const OwnedProgram&) = delete;

  Program get() const { return program_; }
  std::string Log() const {
    std::size_t bytes = 0;
    if (api_.log_size(program_, &bytes) != 0 || bytes == 0) return {};
    std::string text(bytes, '\0');
    static_cast<void>(api_.log(program_, text.data()));
    text.resize(bytes - 1);  // its zero
    return text;
  }

 private:
  const CompilerApi& api_;
  Program program_ = nullptr;
};

}  // namespace

std::string WhyNoKernelCompiler() {
  if (FindCompiler().is_there) return {};
  return "no NVRTC (libnvrtc.so.13 or .12) in this process; torch for CUDA brings one";
}

std::string CompileKernels(const std::string& source, const std::string& name,
                           const std::string& architecture) {
  const Compiler compiler = FindCompiler();
  if (!compiler.is_there) throw CudaError(WhyNoKernelCompiler() + ".");
  const CompilerApi& api = compiler.api;
  const OwnedProgram program(api, source, name);
  const std::string target = "--gpu-architecture=" + architecture;
  const std::array<const char*, 2> options{target.c_str(), "--std=c++17"};
  if (api.compile(program.get(), static_cast<int>(options.size()), options.data()) != 0) {
    throw CudaError(name + " does not compile for " + architecture + ": " + program.Log());
  }
  std::size_t bytes = 0;
  std::string image;
  if (api.image_size(program.get(), &bytes) == 0) image.resize(bytes);
  if (image.empty() || api.image(program.get(), image.data()) != 0) {
    throw CudaError("NVRTC gave nothing for " + name + " on " + architecture + ".");
  }
  return image;
}

}  // namespace hearth
