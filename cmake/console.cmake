# Turns the console's page into `const char embedded_console_page[]` (relay/daemon/console/page.c), as schema.cmake does with the SQL.
set(page_html ${CMAKE_SOURCE_DIR}/relay/daemon/console/page.html)
set(page_c ${CMAKE_BINARY_DIR}/console_page.c)
add_custom_command(
  OUTPUT ${page_c}
  COMMAND ${CMAKE_COMMAND} -DOUT=${page_c} -DPREFIX=embedded -DFILES=${page_html} -P ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
  DEPENDS ${page_html} ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
  VERBATIM)
add_library(cr_console_page STATIC ${page_c})
