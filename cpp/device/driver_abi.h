#ifndef HEARTH_DEVICE_DRIVER_ABI_H_
#define HEARTH_DEVICE_DRIVER_ABI_H_

#include <cstddef>

namespace hearth {

// What hearth uses of the CUDA driver's binary interface, declared here so that neither building
// nor running needs a toolkit. NVIDIA keeps these names, types and values as they are: a changed
// function gets a new name with a higher suffix.
using CuResult = int;
using CuDeviceId = int;
using CuContext = struct CuContextOpaque*;
using CuStream = struct CuStreamOpaque*;
using CuModule = struct CuModuleOpaque*;
using CuFunction = struct CuFunctionOpaque*;
using CuAddress = unsigned long long;     // in device memory
using CuAllocation = unsigned long long;  // physical device memory, not yet mapped

inline constexpr CuResult kCuSuccess = 0;
inline constexpr CuResult kCuOutOfMemory = 2;
inline constexpr CuResult kCuNotRegistered = 713;

inline constexpr unsigned kCuRegisterPortable = 0x01;  // for every context of the process
inline constexpr unsigned kCuRegisterReadOnly = 0x08;
inline constexpr unsigned kCuStreamNonBlocking = 0x1;  // does not wait for the default stream
inline constexpr int kCuAttributeMultiprocessors = 16;
inline constexpr int kCuAttributeComputeMajor = 75;
inline constexpr int kCuAttributeComputeMinor = 76;
inline constexpr int kCuAttributeReadOnlyRegister = 113;

struct CuLocation {
  int type = 1;  // a device
  int id = 0;
};

struct CuAllocationProperties {
  int type = 1;  // pinned: it stays where it is
  int handle_types = 0;
  CuLocation location;
  void* windows_only = nullptr;
  unsigned char flags[8] = {};
};
static_assert(sizeof(CuAllocationProperties) == 32);

struct CuAccess {
  CuLocation location;
  int flags = 3;  // read and write
};
static_assert(sizeof(CuAccess) == 12);

// One pointer for each function, as the driver has it. Tests fill in their own.
struct DriverApi {
  CuResult (*init)(unsigned flags);
  CuResult (*driver_get_version)(int* version);
  CuResult (*get_error_name)(CuResult error, const char** name);
  CuResult (*device_get_count)(int* count);
  CuResult (*device_get)(CuDeviceId* device, int index);
  CuResult (*device_get_name)(char* name, int size, CuDeviceId device);
  CuResult (*device_get_attribute)(int* value, int attribute, CuDeviceId device);
  CuResult (*device_total_memory)(std::size_t* bytes, CuDeviceId device);
  CuResult (*primary_context_retain)(CuContext* context, CuDeviceId device);
  CuResult (*context_push)(CuContext context);
  CuResult (*context_pop)(CuContext* context);
  CuResult (*context_get_device)(CuDeviceId* device);
  CuResult (*memory_get_info)(std::size_t* free, std::size_t* total);
  CuResult (*host_register)(void* address, std::size_t size, unsigned flags);
  CuResult (*host_unregister)(void* address);
  CuResult (*host_get_flags)(unsigned* flags, void* address);
  CuResult (*stream_create)(CuStream* stream, unsigned flags);
  CuResult (*stream_destroy)(CuStream stream);
  CuResult (*stream_synchronize)(CuStream stream);
  CuResult (*copy_to_device)(CuAddress to, const void* from, std::size_t size, CuStream stream);
  CuResult (*copy_to_host)(void* to, CuAddress from, std::size_t size, CuStream stream);
  CuResult (*granularity)(std::size_t* bytes, const CuAllocationProperties* properties, int option);
  CuResult (*address_reserve)(CuAddress* address, std::size_t size, std::size_t alignment,
                              CuAddress wanted, unsigned long long flags);
  CuResult (*address_free)(CuAddress address, std::size_t size);
  CuResult (*allocation_create)(CuAllocation* allocation, std::size_t size,
                                const CuAllocationProperties* properties, unsigned long long flags);
  CuResult (*allocation_release)(CuAllocation allocation);
  CuResult (*map)(CuAddress address, std::size_t size, std::size_t offset, CuAllocation allocation,
                  unsigned long long flags);
  CuResult (*unmap)(CuAddress address, std::size_t size);
  CuResult (*set_access)(CuAddress address, std::size_t size, const CuAccess* access,
                         std::size_t count);
  CuResult (*module_load)(CuModule* module, const void* image);
  CuResult (*module_get_function)(CuFunction* function, CuModule module, const char* name);
  CuResult (*launch_kernel)(CuFunction function, unsigned blocks_x, unsigned blocks_y,
                            unsigned blocks_z, unsigned threads_x, unsigned threads_y,
                            unsigned threads_z, unsigned shared_bytes, CuStream stream,
                            void** arguments, void** extra);
};

}  // namespace hearth

#endif  // HEARTH_DEVICE_DRIVER_ABI_H_
