/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-stub-private.h"

#include "kcp-current-private.h"
#include "kcp-trace-context.h"

#include <stdio.h>

/* Messages of other threads that wait for the main thread; more are dropped and counted. */
#define MAX_WAITING 1024
#define MAX_TEXT (64 * 1024)

static KcpLink *log_link;          /* atomic; lives until the process ends */
static int log_level = G_LOG_LEVEL_MESSAGE;
static int waiting, dropped;       /* atomic */
static GPrivate busy;              /* not NULL: this thread is sending, and what that logs is for stderr */

static const char *
level_name (GLogLevelFlags level)
{
  if (level & G_LOG_LEVEL_ERROR)
    return "error";
  if (level & G_LOG_LEVEL_CRITICAL)
    return "critical";
  if (level & G_LOG_LEVEL_WARNING)
    return "warning";
  if (level & G_LOG_LEVEL_MESSAGE)
    return "message";
  if (level & G_LOG_LEVEL_INFO)
    return "info";

  return "debug";
}

static char *
field_text (const GLogField *fields,
            gsize            n_fields,
            const char      *key)
{
  for (gsize i = 0; i < n_fields; i++)
    if (strcmp (fields[i].key, key) == 0)
      {
        const char *text = fields[i].value;
        gsize length = fields[i].length < 0 ? strlen (text) : (gsize) fields[i].length;
        g_autofree char *copy = g_strndup (text, MIN (length, MAX_TEXT));

        return g_utf8_make_valid (copy, -1);
      }

  return NULL;
}

static GBytes *
encode (GLogLevelFlags   level,
        const GLogField *fields,
        gsize            n_fields)
{
  g_autoptr (JsonObject) object = json_object_new ();
  g_autofree char *domain = field_text (fields, n_fields, "GLIB_DOMAIN");
  g_autofree char *text = field_text (fields, n_fields, "MESSAGE");
  KcpInvocation *current = kcp_current_get ();
  int lost = g_atomic_int_exchange (&dropped, 0);

  json_object_set_string_member (object, "level", level_name (level));
  if (domain)
    json_object_set_string_member (object, "domain", domain);
  json_object_set_string_member (object, "message", text ? text : "");
  if (current)
    json_object_set_string_member (object, "traceparent",
                                   kcp_trace_context_get_traceparent (kcp_invocation_get_trace_context (current)));
  if (lost > 0)
    json_object_set_int_member (object, "dropped", lost);

  return kcp_codec_encode_object (object);
}

/* What is printed goes to the host, which takes it for UTF-8 whatever the locale; GLib's own way
 * would put a question mark for each letter that the locale has not. */
static void
print_error (const char *text)
{
  fputs (text, stderr);
  fflush (stderr);
}

static void
print_out (const char *text)
{
  fputs (text, stdout);
}

static void
print_log (GLogLevelFlags   level,
           const GLogField *fields,
           gsize            n_fields)
{
  g_autofree char *domain = field_text (fields, n_fields, "GLIB_DOMAIN");
  g_autofree char *text = field_text (fields, n_fields, "MESSAGE");
  g_autofree char *line = g_strdup_printf ("%s%s%s: %s\n", domain ? domain : "", domain ? " " : "",
                                           level_name (level), text ? text : "");

  print_error (line);
}

static void
send (KcpLink *link,
      GBytes  *body)
{
  g_private_set (&busy, GINT_TO_POINTER (TRUE));
  kcp_link_send (link, KCP_SOCKET_CALLBACK, KCP_FRAME_LOG, body);
  g_private_set (&busy, NULL);
}

static void
send_waiting (gpointer body)
{
  KcpLink *link = g_atomic_pointer_get (&log_link);

  g_atomic_int_add (&waiting, -1);
  if (link)
    send (link, body);
}

/* Never blocks and never fails; may run in any thread, and with any lock held. */
static GLogWriterOutput
write_log (GLogLevelFlags   level,
           const GLogField *fields,
           gsize            n_fields,
           gpointer         data)
{
  KcpLink *link = g_atomic_pointer_get (&log_link);
  gboolean fatal = (level & G_LOG_FLAG_FATAL) || (level & G_LOG_LEVEL_ERROR);
  g_autoptr (GBytes) body = NULL;

  if (!fatal && (int) (level & G_LOG_LEVEL_MASK) > g_atomic_int_get (&log_level))
    return G_LOG_WRITER_HANDLED;

  /* The process is about to end: only stderr is certain to be read after it. */
  if (link == NULL || fatal || g_private_get (&busy))
    print_log (level, fields, n_fields);
  if (link == NULL || g_private_get (&busy))
    return G_LOG_WRITER_HANDLED;

  if (kcp_link_at_home (link))
    {
      if (kcp_link_is_backed_up (link))
        g_atomic_int_inc (&dropped);
      else
        {
          body = encode (level, fields, n_fields);
          send (link, body);
        }
    }
  else if (g_atomic_int_add (&waiting, 1) < MAX_WAITING)
    kcp_link_post (link, send_waiting, encode (level, fields, n_fields), (GDestroyNotify) g_bytes_unref);
  else
    {
      g_atomic_int_add (&waiting, -1);
      g_atomic_int_inc (&dropped);
    }

  return G_LOG_WRITER_HANDLED;
}

void
kcp_stub_log_start (void)
{
  g_log_set_writer_func (write_log, NULL, NULL);
  g_set_printerr_handler (print_error);
  g_set_print_handler (print_out);
}

void
kcp_stub_log_set_link (KcpLink *link)
{
  g_atomic_pointer_set (&log_link, link);
}

void
kcp_stub_log_set_level (GLogLevelFlags level)
{
  g_atomic_int_set (&log_level, (int) level);
}
