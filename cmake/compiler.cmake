# Warnings, hardening and sanitizers, in one interface target that every layer links.
add_library(cr_flags INTERFACE)
target_include_directories(cr_flags INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/core ${CMAKE_SOURCE_DIR}/relay)
target_compile_definitions(cr_flags INTERFACE _GNU_SOURCE COMMITRELAY_VERSION="${PROJECT_VERSION}")
target_compile_options(cr_flags INTERFACE
  -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith
  -Wformat=2 -Wundef -Wvla -Wwrite-strings -fno-strict-aliasing -fno-common)
if(COMMITRELAY_WERROR)
  target_compile_options(cr_flags INTERFACE -Werror)
endif()
if(COMMITRELAY_FAULTS)
  target_compile_definitions(cr_flags INTERFACE COMMITRELAY_FAULTS)
endif()
if(COMMITRELAY_SANITIZE)
  target_compile_options(cr_flags INTERFACE -fsanitize=${COMMITRELAY_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(cr_flags INTERFACE -fsanitize=${COMMITRELAY_SANITIZE})
else()
  target_compile_options(cr_flags INTERFACE -fstack-protector-strong -fstack-clash-protection
    $<$<CONFIG:Release,RelWithDebInfo>:-U_FORTIFY_SOURCE> $<$<CONFIG:Release,RelWithDebInfo>:-D_FORTIFY_SOURCE=3>)
  target_link_options(cr_flags INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack)
endif()
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)
