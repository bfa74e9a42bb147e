#ifndef HEARTH_CONFIG_SYNTAX_FAULT_H_
#define HEARTH_CONFIG_SYNTAX_FAULT_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "config/config_reader.h"

namespace hearth {

// Where a text stopped being JSON, as nlohmann's parser tells it.
struct SyntaxError {
  std::size_t position = 0;  // letters read until then; more than there are: the text ended
  bool number_too_large = false;
  std::string reason;  // its words, without those of the text
};

// The fault in words of somebody who edits a config by hand, with line and column:
// "line 2, column 5: JSON has no comments; remove it".
ConfigFault SyntaxFault(std::string_view text, const SyntaxError& error);

}  // namespace hearth

#endif  // HEARTH_CONFIG_SYNTAX_FAULT_H_
