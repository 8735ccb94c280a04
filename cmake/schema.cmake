# Turns schema/<folder>/<name>.sql into `const char schema_<folder>_<name>[]` (schema/schema.h), so that the binary
# needs no file at run time while the SQL stays readable and runnable by hand.
file(GLOB schema_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/schema/*/*.sql)
set(schema_c ${CMAKE_BINARY_DIR}/schema.c)
add_custom_command(
  OUTPUT ${schema_c}
  COMMAND ${CMAKE_COMMAND} -DOUT=${schema_c} -DHEADER=schema/schema.h -DPREFIX=schema "-DFILES=${schema_files}" -P ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
  DEPENDS ${schema_files} ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
  VERBATIM)
add_library(cr_schema STATIC ${schema_c})
target_include_directories(cr_schema PUBLIC ${CMAKE_SOURCE_DIR})
