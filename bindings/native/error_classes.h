#ifndef HEARTH_NATIVE_ERROR_CLASSES_H_
#define HEARTH_NATIVE_ERROR_CLASSES_H_

#include "base/error.h"

namespace hearth {

// To be called once by each module as it is imported: when something has gone wrong it is too late
// to import anything.
void LoadErrorClasses();

// Sets the Python error for one of hearth's, of the class of the same name in hearth/errors.py.
// REQUIRES the GIL.
void RaiseInPython(const Error& error);

}  // namespace hearth

#endif  // HEARTH_NATIVE_ERROR_CLASSES_H_
