/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-plugin-loader-private.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdio.h>

#define ENTRY "kcp_plugin_v1"

/* All that version 1 of the layout started with. */
#define SMALLEST_PLUGIN (G_STRUCT_OFFSET (KcpPlugin, handle) + sizeof (KcpHandlerFunc))

/* For what the linker calls "No such file": a library of another kind of machine is passed over as
 * if it were not there. NULL: it is not that. */
static char *
describe_machine (const char *path)
{
  ElfW (Ehdr) theirs, ours;
  FILE *file = fopen (path, "rbe"), *self = fopen ("/proc/self/exe", "rbe");
  char *text = NULL;

  if (file && self && fread (&theirs, sizeof theirs, 1, file) == 1 && fread (&ours, sizeof ours, 1, self) == 1 &&
      memcmp (theirs.e_ident, ELFMAG, SELFMAG) == 0 &&
      (theirs.e_ident[EI_CLASS] != ours.e_ident[EI_CLASS] || theirs.e_ident[EI_DATA] != ours.e_ident[EI_DATA] ||
       theirs.e_machine != ours.e_machine))
    text = g_strdup_printf ("built for another machine (ELF machine %u class %u, this is %u class %u)",
                            theirs.e_machine, theirs.e_ident[EI_CLASS], ours.e_machine, ours.e_ident[EI_CLASS]);

  g_clear_pointer (&file, fclose);
  g_clear_pointer (&self, fclose);
  return text;
}

gpointer
kcp_plugin_open (const char  *path,
                 GError     **error)
{
  g_autofree char *machine = NULL;
  gpointer module;
  const char *text;

  /* LOCAL: two plugins' private symbols must not meet; NOW: a missing symbol is an error here
   * and not a crash in the middle of a call. Never closed: threads, types and exit handlers of
   * a plugin do not survive that. */
  dlerror ();
  module = dlopen (path, RTLD_NOW | RTLD_LOCAL);
  if (module)
    return module;

  text = dlerror ();
  machine = describe_machine (path);
  if (text && strstr (text, path))
    g_set_error (error, KCP_ERROR, KCP_ERROR_PLUGIN_LOAD, "cannot open the plugin: %s", text);
  else
    g_set_error (error, KCP_ERROR, KCP_ERROR_PLUGIN_LOAD, "cannot open the plugin %s: %s", path,
                 text ? text : "the linker gives no reason");
  if (machine)
    g_prefix_error (error, "%s; ", machine);
  return NULL;
}

static gboolean
refuse (GError     **error,
        const char  *path,
        const char  *format,
        ...) G_GNUC_PRINTF (3, 4);

static gboolean
refuse (GError     **error,
        const char  *path,
        const char  *format,
        ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, KCP_ERROR, KCP_ERROR_PLUGIN_ABI, "%s: %s", path, text);
  return FALSE;
}

gboolean
kcp_plugin_check (gpointer     module,
                  const char  *path,
                  KcpPlugin   *plugin,
                  GError     **error)
{
  KcpPluginEntryFunc entry;
  const KcpPlugin *theirs;

  *(void **) &entry = dlsym (module, ENTRY);
  if (entry == NULL)
    return refuse (error, path, "no symbol " ENTRY ": is it a kcp plugin, and does it use KCP_DEFINE_PLUGIN()?");

  theirs = entry ();
  if (theirs == NULL)
    return refuse (error, path, ENTRY "() gives no plugin");

  /* Only these two may be read before they are known to be right. */
  if (theirs->abi != KCP_PLUGIN_ABI)
    return refuse (error, path,
                   "built for version %u of the plugin ABI, this is version %u: build it against this kcp",
                   theirs->abi, KCP_PLUGIN_ABI);
  if (theirs->struct_size < SMALLEST_PLUGIN)
    return refuse (error, path,
                   "its KcpPlugin has %" G_GSIZE_FORMAT " bytes, version %u of the plugin ABI has at least %"
                   G_GSIZE_FORMAT,
                   theirs->struct_size, KCP_PLUGIN_ABI, (gsize) SMALLEST_PLUGIN);

  memset (plugin, 0, sizeof *plugin);
  memcpy (plugin, theirs, MIN (theirs->struct_size, sizeof *plugin));

  if (plugin->name == NULL || plugin->name[0] == '\0')
    return refuse (error, path, "the required member “name” is not set");
  if (plugin->handlers == NULL && plugin->handle == NULL)
    return refuse (error, path, "neither the member “handlers” nor the member “handle” is set");

  return TRUE;
}

/* ---- paths ---- */

typedef struct
{
  KcpHandlerFunc function;
  gpointer *self;            /* where `start` puts it; calls may come before it has returned */
} Handler;

static void
call_handler (KcpInvocation *invocation,
              gpointer       data)
{
  Handler *handler = data;

  handler->function (*handler->self, invocation);
}

static Handler *
new_handler (KcpHandlerFunc  function,
             gpointer       *self)
{
  Handler *handler = g_new (Handler, 1);

  *handler = (Handler) { function, self };
  return handler;
}

gboolean
kcp_plugin_route (const KcpPlugin *plugin,
                  const char      *path,
                  gpointer        *self,
                  KcpRouter       *router,
                  GError         **error)
{
  for (const KcpHandlerEntry *entry = plugin->handlers; entry && entry->path; entry++)
    {
      g_autoptr (GError) reason = NULL;
      Handler *handler;

      if (entry->function == NULL)
        return refuse (error, path, "the handler of “%s” has no function", entry->path);

      handler = new_handler (entry->function, self);
      if (!kcp_router_add (router, entry->path, call_handler, handler, g_free, &reason))
        {
          g_free (handler);
          return refuse (error, path, "%s", reason->message);
        }
    }

  if (plugin->handle)
    kcp_router_set_fallback (router, call_handler, new_handler (plugin->handle, self), g_free);
  return TRUE;
}

/* ---- manifest ---- */

static void
add_text (JsonObject *object,
          const char *name,
          const char *text)
{
  g_autofree char *valid = text ? g_utf8_make_valid (text, -1) : NULL;

  if (valid)
    json_object_set_string_member (object, name, valid);
}

JsonNode *
kcp_plugin_describe (const KcpPlugin *plugin)
{
  JsonNode *node = json_node_new (JSON_NODE_OBJECT);
  JsonObject *object = json_object_new ();
  JsonArray *handlers = json_array_new ();

  add_text (object, "name", plugin->name);
  add_text (object, "version", plugin->version);
  add_text (object, "description", plugin->description);
  add_text (object, "config_help", plugin->config_help);

  for (const KcpHandlerEntry *entry = plugin->handlers; entry && entry->path; entry++)
    {
      JsonObject *handler = json_object_new ();

      add_text (handler, "path", entry->path);
      add_text (handler, "description", entry->description);
      json_array_add_object_element (handlers, handler);
    }
  json_object_set_array_member (object, "handlers", handlers);
  json_object_set_boolean_member (object, "any_path", plugin->handle != NULL);

  json_node_take_object (node, object);
  return node;
}
