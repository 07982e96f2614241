/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-host-log.h"

#include <string.h>

static GLogLevelFlags wanted;
static void (*before) (gpointer data);
static gpointer before_data;

/* Those that the library passes on for a plugin carry fields of its own. */
static gboolean
is_from_plugin (const GLogField *fields,
                gsize            n_fields)
{
  for (gsize i = 0; i < n_fields; i++)
    if (g_str_has_prefix (fields[i].key, "KCP_"))
      return TRUE;

  return FALSE;
}

static GLogWriterOutput
write_log (GLogLevelFlags   level,
           const GLogField *fields,
           gsize            n_fields,
           gpointer         user_data)
{
  if ((level & G_LOG_LEVEL_MASK) > wanted)
    return G_LOG_WRITER_HANDLED;

  if (before && g_main_context_is_owner (NULL))
    before (before_data);

  /* GLib's own choice hides info and debug unless G_MESSAGES_DEBUG names the domain; the user has
   * asked for those of the plugin by --log-level. */
  if ((level & (G_LOG_LEVEL_INFO | G_LOG_LEVEL_DEBUG)) && is_from_plugin (fields, n_fields))
    return g_log_writer_standard_streams (level, fields, n_fields, NULL);

  return g_log_writer_default (level, fields, n_fields, user_data);
}

void
host_log_setup (GLogLevelFlags level)
{
  wanted = level;
  g_log_writer_default_set_use_stderr (TRUE);
  g_log_set_writer_func (write_log, NULL, NULL);
}

void
host_log_set_before (void     (*func) (gpointer data),
                     gpointer   data)
{
  before = func;
  before_data = data;
}
