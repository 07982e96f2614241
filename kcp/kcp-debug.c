/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-debug-private.h"

#include <unistd.h>

static const GDebugKey keys[] = {
  { "frame", KCP_DEBUG_FRAME },
  { "call", KCP_DEBUG_CALL },
  { "child", KCP_DEBUG_CHILD },
};

gboolean
kcp_debug_enabled (KcpDebugFlags flag)
{
  static gsize flags_plus_one = 0;

  if (g_once_init_enter (&flags_plus_one))
    {
      gsize flags = g_parse_debug_string (g_getenv ("KCP_DEBUG"), keys, G_N_ELEMENTS (keys));

      g_once_init_leave (&flags_plus_one, flags + 1);
    }

  return ((flags_plus_one - 1) & flag) != 0;
}

void
kcp_debug_print (KcpDebugFlags  flag,
                 const char    *format,
                 ...)
{
  g_autofree char *text = NULL;
  const char *name = "?";
  va_list args;

  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++)
    if (keys[i].value == flag)
      name = keys[i].key;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);

  g_printerr ("kcp[%d] %s: %s\n", (int) getpid (), name, text);
}
