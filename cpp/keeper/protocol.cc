#include "keeper/protocol.h"

#include <unistd.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/error.h"

namespace hearth {
namespace {

using nlohmann::json;

constexpr std::size_t kMostPathBytes = 4096;  // PATH_MAX of Linux

// What a request lacks, for its sender.
class BadRequest : public Error {
 public:
  using Error::Error;
};

const json& Member(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) throw BadRequest(std::string("\"") + name + "\" is missing.");
  return *found;
}

std::uint64_t Natural(const json& object, const char* name) {
  const json& value = Member(object, name);
  if (!value.is_number_unsigned()) {
    throw BadRequest(std::string("\"") + name + "\" has to be a natural number.");
  }
  return value.get<std::uint64_t>();
}

std::int64_t Whole(const json& object, const char* name) {
  const json& value = Member(object, name);
  if (!value.is_number_integer()) {
    throw BadRequest(std::string("\"") + name + "\" has to be a whole number.");
  }
  return value.get<std::int64_t>();
}

std::string Path(const json& object) {
  const json& value = Member(object, "path");
  const std::string path = value.is_string() ? value.get<std::string>() : "";
  const bool is_plain = path.find('\0') == std::string::npos;
  if (path.empty() || path[0] != '/' || path.size() >= kMostPathBytes || !is_plain) {
    throw BadRequest("\"path\" has to be a whole path.");
  }
  return path;
}

FileClaim ClaimOf(const json& file) {
  if (!file.is_object()) throw BadRequest("each of \"files\" has to be an object.");
  const json& registered = Member(file, "registered");
  if (!registered.is_boolean()) throw BadRequest("\"registered\" has to be true or false.");
  FileClaim claim;
  claim.path = Path(file);
  claim.identity = {Natural(file, "device"), Natural(file, "inode"), Natural(file, "size"),
                    Whole(file, "mtime_ns")};
  claim.is_registered = registered.get<bool>();
  return claim;
}

std::vector<FileClaim> Claims(const json& request) {
  const json& files = Member(request, "files");
  if (!files.is_array()) throw BadRequest("\"files\" has to be a list.");
  if (files.size() > KeptFiles::kMostFiles) {
    throw BadRequest("\"files\" has more than " + std::to_string(KeptFiles::kMostFiles) + ".");
  }
  std::vector<FileClaim> claims;
  for (const json& file : files) claims.push_back(ClaimOf(file));
  return claims;
}

HostTierLimits Limits(const json& request) {
  const json& limits = Member(request, "limits");
  if (!limits.is_object()) throw BadRequest("\"limits\" has to be an object.");
  HostTierLimits values;
  if (!Member(limits, "max_bytes").is_null()) values.max_bytes = Natural(limits, "max_bytes");
  values.keep_free_bytes = Natural(limits, "keep_free_bytes");
  return values;
}

json StatusOf(const KeptFiles& kept) {
  const KeptStats stats = kept.Stats();
  json files = json::array();
  for (const KeptFileStats& file : stats.files) {
    files.push_back({{"name", file.name},
                     {"size", file.size},
                     {"locked_bytes", file.locked_bytes},
                     {"clients", file.clients},
                     {"registered", file.is_registered}});
  }
  json limits = {{"max_bytes", nullptr}, {"keep_free_bytes", stats.limits.keep_free_bytes}};
  if (stats.limits.max_bytes) limits["max_bytes"] = *stats.limits.max_bytes;
  return {{"pid", ::getpid()},
          {"files", std::move(files)},
          {"locked_bytes", stats.locked_bytes},
          {"limits", std::move(limits)},
          {"advice", stats.advice}};
}

// Names come from disks: what is no UTF-8 in them must not fail the answer.
std::string LineOf(const json& answer) {
  return answer.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

json RefusedOf(const std::vector<Refusal>& refusals) {
  json refused = json::array();
  for (const Refusal& each : refusals) {
    refused.push_back({{"name", each.name}, {"reason", each.reason}});
  }
  return refused;
}

Reply Answer(const json& request, ClientId client, KeptFiles& files) {
  if (!request.is_object()) throw BadRequest("a request has to be a JSON object.");
  const json& op = Member(request, "op");
  const std::string name = op.is_string() ? op.get<std::string>() : "";
  json answer = {{"ok", true}};
  if (name == "declare") {
    // All of it is read before any of it counts.
    const std::vector<FileClaim> claims = Claims(request);
    files.SetLimits(Limits(request));
    answer["refused"] = RefusedOf(files.Declare(client, claims));
  } else if (name != "status" && name != "stop") {
    throw BadRequest("\"op\" has to be declare, status or stop.");
  }
  answer["status"] = StatusOf(files);
  return {.line = LineOf(answer), .stops = name == "stop"};
}

}  // namespace

std::string ErrorLine(const std::string& error) {
  return LineOf({{"ok", false}, {"error", error}});
}

Reply AnswerLine(std::string_view line, ClientId client, KeptFiles& files) {
  try {
    const json request = json::parse(line, nullptr, false);
    if (request.is_discarded()) throw BadRequest("the line is not JSON.");
    return Answer(request, client, files);
  } catch (const std::exception& error) {
    return {.line = ErrorLine(error.what()), .stops = false};
  }
}

}  // namespace hearth
