/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-launch-plan-private.h"

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
