#ifndef HEARTH_RUNTIME_MAKE_KEEPER_H_
#define HEARTH_RUNTIME_MAKE_KEEPER_H_

#include <memory>
#include <string>

#include "hosttier/host_budget.h"
#include "keeper/keeper_server.h"

namespace hearth {

// A keeper over this machine's memory, with the limit of locked memory raised as far as it may be.
// Whatever is asked for, an eighth of the RAM or 2 GiB stay free, the smaller. Throws Error.
std::unique_ptr<KeeperServer> MakeKeeper(const std::string& folder, HostTierLimits limits);

}  // namespace hearth

#endif  // HEARTH_RUNTIME_MAKE_KEEPER_H_
