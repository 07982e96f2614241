/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-process-state-private.h"

/* The plugin's log comes out of the host's. Its texts are data: never a format, and never able to
 * end the host, whatever level the plugin gives them. */

static const struct
{
  const char *name;
  GLogLevelFlags level;
  const char *priority;    /* of syslog(3), for journald */
} levels[] = {
  { "error", G_LOG_LEVEL_CRITICAL, "3" },   /* fatal only for the child */
  { "critical", G_LOG_LEVEL_CRITICAL, "4" },
  { "warning", G_LOG_LEVEL_WARNING, "4" },
  { "message", G_LOG_LEVEL_MESSAGE, "5" },
  { "info", G_LOG_LEVEL_INFO, "6" },
  { "debug", G_LOG_LEVEL_DEBUG, "7" },
};

static gsize
find_level (const char *name)
{
  for (gsize i = 0; i < G_N_ELEMENTS (levels); i++)
    if (g_strcmp0 (levels[i].name, name) == 0)
      return i;

  return 3;
}

static void
emit (KcpProcess *self,
      gsize       level,
      const char *domain,
      const char *message,
      const char *extra_key,
      const char *extra)
{
  char pid[16];
  GLogField fields[] = {
    /* Says that whoever logged has dealt with fatality itself: G_DEBUG=fatal-warnings of the host
     * is about the host's own warnings. GLib looks for it in the first place only. */
    { "GLIB_OLD_LOG_API", "1", -1 },
    { "PRIORITY", levels[level].priority, -1 },
    { "GLIB_DOMAIN", domain, -1 },
    { "MESSAGE", message, -1 },
    { "KCP_PLUGIN", self->plan->name, -1 },
    { "KCP_PID", pid, -1 },
    { extra_key, extra, -1 },
  };

  g_snprintf (pid, sizeof pid, "%d", self->spawned.pid);
  if (self->observer)
    self->observer->log (self->observer_data, domain, levels[level].level, message);
  g_log_structured_array (levels[level].level, fields, G_N_ELEMENTS (fields) - (extra ? 0 : 1));
}

void
kcp_process_take_log (KcpProcess *self,
                      GBytes     *body)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) object = kcp_codec_decode_object ("LOG", body, &error);
  const char *domain = NULL, *message = NULL, *level = NULL, *traceparent = NULL;
  g_autofree char *text = NULL;
  gint64 dropped = 0;

  if (object == NULL || !kcp_codec_get_string (object, "level", &level, &error) ||
      !kcp_codec_get_string (object, "domain", &domain, &error) ||
      !kcp_codec_get_string (object, "message", &message, &error) ||
      !kcp_codec_get_string (object, "traceparent", &traceparent, &error) ||
      !kcp_codec_get_int (object, "dropped", 0, G_MAXINT64, &dropped, &error))
    {
      kcp_process_link_ops.lost (self, error);
      return;
    }

  if (dropped > 0)
    text = g_strdup_printf ("%s (%" G_GINT64_FORMAT " messages before it were dropped)",
                            message ? message : "", dropped);
  emit (self, find_level (level), domain && domain[0] ? domain : self->plan->name,
        text ? text : message ? message : "", "KCP_TRACEPARENT", traceparent);
}

/* Printing is not logging: it is kept for the exit report, and is in the log only for those who
 * want to see that much. */
static void
log_line (KcpProcess *self,
          const char *line,
          const char *stream)
{
  emit (self, find_level ("info"), self->plan->name, line, "KCP_STREAM", stream);
}

void
kcp_process_log_stdout (const char *line,
                        gpointer    process)
{
  log_line (process, line, "stdout");
}

void
kcp_process_log_stderr (const char *line,
                        gpointer    process)
{
  log_line (process, line, "stderr");
}
