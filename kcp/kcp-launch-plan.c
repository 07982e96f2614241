/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-launch-plan-private.h"

#include "kcp-error.h"
#include "kcp-frame-private.h"
#include "kcp-handshake-private.h"
#include "kcp-message.h"

#include <sys/auxv.h>

#define START_TIMEOUT 10000

/* ---- settings ---- */

void
kcp_launch_settings_init (KcpLaunchSettings *self)
{
  self->config = g_ptr_array_new_with_free_func (g_free);
  self->environ = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  self->log_level = G_LOG_LEVEL_MESSAGE;
  self->frame_limit = KCP_FRAME_DEFAULT_LIMIT;
  self->stream_items = KCP_STREAM_ITEMS;
  self->stream_bytes = KCP_STREAM_BYTES;
  self->max_in_flight = 1024;
  self->mailbox_calls = 16384;
  self->mailbox_bytes = 64 * 1024 * 1024;
  self->start_timeout = KCP_TIMEOUT_DEFAULT;
  self->call_timeout = KCP_LAUNCH_CALL_TIMEOUT;
  self->drain_timeout = 2000;
  self->term_timeout = 2000;
  self->kill_timeout = 1000;
}

void
kcp_launch_settings_clear (KcpLaunchSettings *self)
{
  g_free (self->plugin);
  g_free (self->name);
  g_free (self->stub);
  g_free (self->directory);
  g_strfreev (self->wrapper);
  g_ptr_array_unref (self->config);
  g_hash_table_unref (self->environ);
  g_clear_object (&self->handler);
}

/* ---- plan ---- */

void
kcp_launch_plan_free (KcpLaunchPlan *plan)
{
  g_free (plan->plugin);
  g_free (plan->name);
  g_free (plan->stub);
  g_free (plan->directory);
  g_strfreev (plan->wrapper);
  g_strfreev (plan->environ);
  g_clear_pointer (&plan->config, g_ptr_array_unref);
  g_clear_object (&plan->handler);
  g_free (plan);
}

/* ---- environment ---- */

/* What a program needs to find its files, speak its user's language and open a window; no more,
 * because the host's environment may hold secrets. A name that ends in '*' is a prefix. */
static const char *const allowed[] = {
  "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR", "TERM",
  "XDG_*", "G_*", "GIO_*", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS",
  "LD_LIBRARY_PATH", "KCP_DEBUG",
};

static const char *const never[] = {
  "KCP_REQUEST_SOCKET", "KCP_CALLBACK_SOCKET", "KCP_ACTOR_NAME", "KCP_TOKEN",
};

static gboolean
matches (const char        *name,
         gsize              length,
         const char *const *list,
         gsize              count)
{
  for (gsize i = 0; i < count; i++)
    {
      gsize size = strlen (list[i]);

      if (list[i][size - 1] == '*')
        {
          if (length >= size - 1 && strncmp (name, list[i], size - 1) == 0)
            return TRUE;
        }
      else if (length == size && strncmp (name, list[i], size) == 0)
        return TRUE;
    }

  return FALSE;
}

char **
kcp_environment_build (char       **base,
                       gboolean     inherit_all,
                       GHashTable  *changes)
{
  g_autoptr (GPtrArray) result = g_ptr_array_new_with_free_func (g_free);
  GHashTableIter iter;
  gpointer name, value;

  for (guint i = 0; base && base[i]; i++)
    {
      gsize length = strcspn (base[i], "=");
      g_autofree char *key = g_strndup (base[i], length);

      if (length > 0 && !matches (key, length, never, G_N_ELEMENTS (never)) &&
          (inherit_all || matches (key, length, allowed, G_N_ELEMENTS (allowed))) &&
          !g_hash_table_contains (changes, key))
        g_ptr_array_add (result, g_strdup (base[i]));
    }

  g_hash_table_iter_init (&iter, changes);
  while (g_hash_table_iter_next (&iter, &name, &value))
    if (value && !matches (name, strlen (name), never, G_N_ELEMENTS (never)))
      g_ptr_array_add (result, g_strdup_printf ("%s=%s", (const char *) name, (const char *) value));

  g_ptr_array_add (result, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&result), FALSE);
}

/* ---- from settings to a plan ---- */

static char *
find_stub (const KcpLaunchSettings *self)
{
  const char *variable = getauxval (AT_SECURE) ? NULL : g_getenv ("KCP_STUB");

  if (self->stub)
    return g_canonicalize_filename (self->stub, NULL);

  return variable && variable[0] ? g_canonicalize_filename (variable, NULL) : g_strdup (KCP_STUB_PATH);
}

/* "libfoo.so" and "foo.so" are "foo". */
static char *
name_after_plugin (const char *plugin)
{
  char *name = g_path_get_basename (plugin);
  char *dot = strchr (name + 1, '.');

  if (dot)
    *dot = '\0';
  return name;
}

static gboolean
check_texts (const KcpLaunchSettings  *self,
             GError                  **error)
{
  const char *wrong = NULL;

  if (self->name && !g_utf8_validate (self->name, -1, NULL))
    wrong = "the actor's name";
  for (guint i = 0; wrong == NULL && i < self->config->len; i++)
    if (!g_utf8_validate (self->config->pdata[i], -1, NULL))
      wrong = i % 2 ? "a value of the configuration" : "a key of the configuration";
  if (wrong == NULL && (!g_utf8_validate (self->plugin, -1, NULL) ||
                        (self->directory && !g_utf8_validate (self->directory, -1, NULL))))
    wrong = "the path of the plugin or of the working directory";

  if (wrong == NULL)
    return TRUE;

  g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, "%s is not valid UTF-8", wrong);
  return FALSE;
}

static gpointer
copy_text (gconstpointer text,
           gpointer      data)
{
  return g_strdup (text);
}

KcpLaunchPlan *
kcp_launch_plan_new (const KcpLaunchSettings  *self,
                     GError                  **error)
{
  g_auto (GStrv) base = g_get_environ ();
  KcpLaunchPlan *plan;

  if (!check_texts (self, error) || !kcp_resource_limits_check (&self->limits, error))
    return NULL;

  plan = g_new0 (KcpLaunchPlan, 1);
  plan->plugin = g_canonicalize_filename (self->plugin, NULL);
  plan->name = self->name ? g_strdup (self->name) : name_after_plugin (self->plugin);
  plan->stub = find_stub (self);
  plan->wrapper = g_strdupv (self->wrapper);
  plan->environ = kcp_environment_build (base, self->inherit_environ, self->environ);
  plan->directory = self->directory ? g_canonicalize_filename (self->directory, NULL) : NULL;
  plan->config = g_ptr_array_copy (self->config, copy_text, NULL);
  g_ptr_array_set_free_func (plan->config, g_free);
  plan->handler = self->handler ? g_object_ref (self->handler) : kcp_noop_callback_handler_new ();
  plan->describe_only = self->describe_only;
  plan->log_level = self->log_level;
  plan->limits = self->limits;
  plan->frame_limit = self->frame_limit;
  plan->stream_items = self->stream_items;
  plan->stream_bytes = self->stream_bytes;
  plan->max_in_flight = self->max_in_flight;
  plan->mailbox_calls = self->mailbox_calls;
  plan->mailbox_bytes = self->mailbox_bytes;
  plan->start_timeout = self->start_timeout;
  if (plan->start_timeout == KCP_TIMEOUT_DEFAULT)
    plan->start_timeout = self->wrapper ? KCP_TIMEOUT_NONE : START_TIMEOUT;
  plan->call_timeout = self->call_timeout;
  plan->drain_timeout = self->drain_timeout;
  plan->term_timeout = self->term_timeout;
  plan->kill_timeout = self->kill_timeout;
  return plan;
}
