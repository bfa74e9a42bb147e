#ifndef HEARTH_DEVICE_SYMBOLS_H_
#define HEARTH_DEVICE_SYMBOLS_H_

#include <dlfcn.h>

#include <string>

namespace hearth {

// A library of which this process may have none. It is never closed: torch uses it too, and what
// uses a GPU does not survive its going.
inline void* OpenLibrary(const char* name) { return ::dlopen(name, RTLD_NOW | RTLD_LOCAL); }

// Fills one pointer after the other and remembers the first name that the library lacks.
class Symbols {
 public:
  explicit Symbols(void* library) : library_(library) {}

  template <typename Function>
  void Bind(const char* name, Function*& function) {
    void* const symbol = ::dlsym(library_, name);
    if (symbol == nullptr && missing_.empty()) missing_ = name;
    function = reinterpret_cast<Function*>(symbol);
  }
  const std::string& missing() const { return missing_; }
  bool has_all() const { return missing_.empty(); }

 private:
  void* library_;
  std::string missing_;
};

}  // namespace hearth

#endif  // HEARTH_DEVICE_SYMBOLS_H_
