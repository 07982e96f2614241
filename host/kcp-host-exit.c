/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-host-exit.h"
#include "kcp-host-terminal.h"

#include <glib/gi18n.h>

/* Lines of a dead child's stderr that are shown. */
#define TAIL_LINES 10

HostExit
host_exit_for_start (const GError *error)
{
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return HOST_EXIT_INTERRUPTED;
  if (g_error_matches (error, KCP_ERROR, KCP_ERROR_CHILD_CRASHED) ||
      g_error_matches (error, KCP_ERROR, KCP_ERROR_CHILD_EXITED))
    return HOST_EXIT_CHILD_DIED;
  if (g_error_matches (error, KCP_ERROR, KCP_ERROR_PROTOCOL) ||
      g_error_matches (error, KCP_ERROR, KCP_ERROR_CONNECTION_CLOSED))
    return HOST_EXIT_CONNECTION;
  if (g_error_matches (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT))
    return HOST_EXIT_USAGE;

  return HOST_EXIT_NOT_STARTED;
}

HostExit
host_exit_for_call (const GError *error)
{
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return HOST_EXIT_INTERRUPTED;
  if (g_error_matches (error, KCP_ERROR, KCP_ERROR_TIMED_OUT))
    return HOST_EXIT_TIMED_OUT;
  if (g_error_matches (error, KCP_ERROR, KCP_ERROR_CHILD_CRASHED) ||
      g_error_matches (error, KCP_ERROR, KCP_ERROR_CHILD_EXITED) ||
      g_error_matches (error, KCP_ERROR, KCP_ERROR_NOT_RUNNING))
    return HOST_EXIT_CHILD_DIED;
  if (g_error_matches (error, KCP_ERROR, KCP_ERROR_PROTOCOL) ||
      g_error_matches (error, KCP_ERROR, KCP_ERROR_CONNECTION_CLOSED))
    return HOST_EXIT_CONNECTION;

  return HOST_EXIT_CALL_FAILED;
}

void
host_complain (const char *format,
               ...)
{
  g_autofree char *text = NULL;
  g_autofree char *clean = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);

  clean = host_text_clean (text);
  g_printerr ("kcp-host: %s\n", clean);
}

/* What the user can do about it; NULL if nothing comes to mind. */
static const char *
remedy_for (const GError *error)
{
  static const struct
  {
    KcpError code;
    const char *text;
  } remedies[] = {
    { KCP_ERROR_HANDSHAKE_TIMED_OUT, N_("--start-timeout SEC gives it longer") },
    { KCP_ERROR_VERSION_MISMATCH, N_("install kcp-host and kcp-child of the same release") },
    { KCP_ERROR_PLUGIN_ABI, N_("build the plugin again with this release's kcp-plugin.h") },
    { KCP_ERROR_TIMED_OUT, N_("--timeout SEC gives it longer") },
    { KCP_ERROR_TOO_LARGE, N_("--frame-limit BYTES allows more") },
    { KCP_ERROR_UNKNOWN_PATH, N_("the command “describe” lists the paths") },
  };

  if (error->domain != KCP_ERROR)
    return NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (remedies); i++)
    if (error->code == (int) remedies[i].code)
      return _(remedies[i].text);

  return NULL;
}

void
host_complain_error (const char   *what,
                     const GError *error)
{
  const char *remedy = remedy_for (error);
  g_autoptr (GString) line = g_string_new (NULL);

  if (what)
    g_string_append_printf (line, "%s: ", what);
  g_string_append (line, error->message);
  if (remedy)
    g_string_append_printf (line, " (%s)", remedy);

  host_complain ("%s", line->str);
}

void
host_complain_death (KcpExitReport *report)
{
  const char *tail = kcp_exit_report_get_stderr_tail (report);
  g_auto (GStrv) lines = NULL;
  guint n, first;

  host_complain ("%s", kcp_exit_report_get_summary (report));
  if (tail == NULL || *tail == '\0')
    return;

  lines = g_strsplit (tail, "\n", -1);
  n = g_strv_length (lines);
  if (n > 0 && *lines[n - 1] == '\0')
    n--;
  first = n > TAIL_LINES ? n - TAIL_LINES : 0;

  host_complain (ngettext ("the last line it wrote to stderr:",
                           "the last %u lines it wrote to stderr:", n - first), n - first);
  for (guint i = first; i < n; i++)
    {
      g_autofree char *clean = host_text_clean (lines[i]);

      g_printerr ("  %s\n", clean);
    }
}
