# A library for each plugin that relay/daemon/registry.def names and this build has, of all files of the plugin's folder.
# The folder's plugin.cmake, where there is one, finds the libraries that the plugin needs and names them in PLUGIN_LIBRARIES:
# of a plugin that is left out nothing is looked for. PLUGIN_HEADERS is for tests/layers: only this folder may include them.
#
#   cmake -DCOMMITRELAY_SINKS="kafka;file" -DCOMMITRELAY_SOURCES=outbox_postgres ...
#
# plugins.def in the build folder holds the registry's lines of the plugins that are there.
set(COMMITRELAY_SOURCES all CACHE STRING "Sources to build in, separated by semicolons")
set(COMMITRELAY_SINKS all CACHE STRING "Sinks to build in, separated by semicolons")
set(COMMITRELAY_STORES all)

set(folder_cdc_postgres cdc) # large enough for one of its own

# plugin(sink kafka): cr_sink_kafka, linked by cr_sink; of cdc_postgres: cr_cdc.
function(plugin kind name)
  set(folder relay/${kind}/${name})
  if(folder_${name})
    set(folder ${folder_${name}})
  endif()
  string(REGEX REPLACE "^relay/" "" library ${folder})
  string(REPLACE "/" "_" library cr_${library})
  file(GLOB_RECURSE files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*.c)
  set(PLUGIN_LIBRARIES "")
  include(${CMAKE_SOURCE_DIR}/${folder}/plugin.cmake OPTIONAL)
  add_library(${library} STATIC ${files})
  target_link_libraries(${library} PUBLIC cr_flags cr_pipeline ${PLUGIN_LIBRARIES})
  target_link_libraries(cr_${kind} INTERFACE ${library})
endfunction()

function(plugins_of kind)
  string(TOUPPER ${kind} KIND)
  set(chosen ${COMMITRELAY_${KIND}S})
  file(STRINGS ${CMAKE_SOURCE_DIR}/relay/daemon/registry.def lines REGEX "^${KIND}\\(")
  string(REGEX MATCHALL "[a-z_0-9]+" known "${lines}")
  foreach(name IN LISTS chosen)
    if(NOT name STREQUAL "all" AND NOT name IN_LIST known)
      message(FATAL_ERROR "COMMITRELAY_${KIND}S: there is no ${kind} ${name}; there are: ${known}, or all")
    endif()
  endforeach()
  add_library(cr_${kind} INTERFACE)
  set(text "")
  foreach(name IN LISTS known)
    if("${chosen}" STREQUAL "all" OR name IN_LIST chosen)
      plugin(${kind} ${name})
      string(APPEND text "${KIND}(${name})\n")
    else()
      set_property(GLOBAL PROPERTY COMMITRELAY_LEFT_OUT TRUE)
    endif()
  endforeach()
  set_property(GLOBAL APPEND_STRING PROPERTY COMMITRELAY_PLUGINS_DEF "${text}")
endfunction()

set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/relay/daemon/registry.def)
plugins_of(source)
plugins_of(sink)
plugins_of(store)
get_property(plugins_def GLOBAL PROPERTY COMMITRELAY_PLUGINS_DEF)
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/plugins/plugins.def CONTENT "${plugins_def}")
