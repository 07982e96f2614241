/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A plugin that does on purpose what plugins do by mistake. A path a fault; what hurts a start or a
 * stop is chosen by KEY=VALUE. What only reads (who am I, what was I given) is in misbehave-look.c. */
#include "misbehave.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *configure_mode, *start_mode, *stop_mode, *start_path;
static KcpCallbackHandle *host;
static GPtrArray *held;          /* of KcpInvocation: "hold" keeps, "release" answers */

GQuark misbehave_error_quark (void);
G_DEFINE_QUARK (misbehave-error-quark, misbehave_error)

/* ---- ends ---- */

/* Neither a tail call nor a loop may come of it. */
static __attribute__ ((noinline)) int
overflow (volatile char *before)
{
  volatile char here[4096];

  here[0] = before ? before[0] : 1;
  return overflow (here) + here[0];
}

_Noreturn static void
spin (void)
{
  for (volatile guint i = 0;; i++)
    ;
}

static void
close_from (int first)
{
  for (int fd = first; fd < 1024; fd++)
    close (fd);
}

static void
end_by (const char *how)
{
  int *volatile nowhere = (int *) 8;
  static const struct
  {
    const char *how;
    int number;
  } signals[] = {
    { "abort", SIGABRT }, { "ill", SIGILL }, { "fpe", SIGFPE }, { "bus", SIGBUS }, { "trap", SIGTRAP },
    { "kill", SIGKILL }, { "term", SIGTERM },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (signals); i++)
    if (strcmp (how, signals[i].how) == 0)
      raise (signals[i].number);

  if (strcmp (how, "segv") == 0)
    *nowhere = 1;
  if (strcmp (how, "stack") == 0)
    overflow (NULL);
  if (strcmp (how, "error") == 0)
    g_error ("the last words: %s", "ü%n%s");
  if (strcmp (how, "exit") == 0)
    exit (3);
  if (strcmp (how, "_exit") == 0)
    _exit (0);
  if (strcmp (how, "hang") == 0)
    spin ();
  if (strcmp (how, "close-and-hang") == 0)
    {
      close_from (0);
      spin ();
    }
  if (strcmp (how, "hang-blocked") == 0)
    {
      sigset_t all;

      sigfillset (&all);
      sigprocmask (SIG_SETMASK, &all, NULL);
      spin ();
    }
}

/* ---- life ---- */

static gboolean
misbehave_configure (const char  *key,
                     const char  *value,
                     GError     **error)
{
  static const struct
  {
    const char *key;
    char **place;
  } settings[] = {
    { "configure", &configure_mode },
    { "start", &start_mode },
    { "start-path", &start_path },
    { "stop", &stop_mode },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (settings); i++)
    if (strcmp (key, settings[i].key) == 0)
      {
        g_free (*settings[i].place);
        *settings[i].place = g_strdup (value);
      }

  if (strcmp (key, "configure") == 0)
    {
      fprintf (stderr, "configured with %s\n", value);
      end_by (value);
    }
  if (strcmp (key, "configure") == 0 && strcmp (value, "mute") == 0)
    return FALSE;
  if (strcmp (key, "term") == 0 && strcmp (value, "ignore") == 0)
    signal (SIGTERM, SIG_IGN);
  if (strcmp (key, "unknown") != 0)
    return TRUE;

  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "no key “%s”", key);
  return FALSE;
}

static gboolean
misbehave_start (KcpCallbackHandle  *handle,
                 gpointer           *self,
                 GError            **error)
{
  host = g_object_ref (handle);
  held = g_ptr_array_new_with_free_func ((GDestroyNotify) kcp_invocation_unref);
  if (start_mode == NULL)
    return TRUE;

  if (strcmp (start_mode, "error") == 0)
    {
      g_set_error_literal (error, misbehave_error_quark (), 42, "Grüße “aus”\nzwei Zeilen %s%n");
      return FALSE;
    }
  if (strcmp (start_mode, "forge") == 0)
    {
      g_set_error_literal (error, KCP_ERROR, KCP_ERROR_CHILD_CRASHED, "I have crashed, believe me");
      return FALSE;
    }
  if (strcmp (start_mode, "mute") == 0)
    return FALSE;
  if (strcmp (start_mode, "ask") == 0)
    {
      g_autoptr (KcpMessage) question = kcp_message_new (start_path ? start_path : "hello", NULL);
      g_autoptr (KcpMessage) answer = kcp_callback_handle_ask (host, question, NULL, error);

      return answer != NULL;
    }

  fprintf (stderr, "starting with %s\n", start_mode);
  end_by (start_mode);
  return TRUE;
}

static void
misbehave_stop (gpointer self)
{
  g_printerr ("stop was called\n");
  if (stop_mode)
    end_by (stop_mode);
  g_clear_pointer (&held, g_ptr_array_unref);
  g_clear_object (&host);
  g_clear_pointer (&configure_mode, g_free);
  g_clear_pointer (&start_mode, g_free);
  g_clear_pointer (&start_path, g_free);
  g_clear_pointer (&stop_mode, g_free);
}

/* ---- what a body says ---- */

const char *
misbehave_text (KcpInvocation *invocation)
{
  JsonNode *body = kcp_invocation_get_body (invocation, NULL);

  if (body && JSON_NODE_HOLDS_VALUE (body) && json_node_get_value_type (body) == G_TYPE_STRING)
    return json_node_get_string (body);

  return "";
}

static gint64
get_number (KcpInvocation *invocation)
{
  JsonNode *body = kcp_invocation_get_body (invocation, NULL);

  return body && JSON_NODE_HOLDS_VALUE (body) ? json_node_get_int (body) : 0;
}

void
misbehave_reply_int (KcpInvocation *invocation,
                     gint64         number)
{
  kcp_invocation_reply (invocation, json_node_init_int (json_node_alloc (), number));
}

/* ---- answers ---- */

static void
handle_echo (gpointer       self,
             KcpInvocation *invocation)
{
  JsonNode *body = kcp_invocation_get_body (invocation, NULL);

  kcp_invocation_reply (invocation, body ? json_node_ref (body) : NULL);
}

static void
handle_end (gpointer       self,
            KcpInvocation *invocation)
{
  end_by (misbehave_text (invocation));
  kcp_invocation_reply (invocation, NULL);
}

static gboolean
on_end (gpointer how)
{
  end_by (how);
  return G_SOURCE_REMOVE;
}

/* Answers, and comes to its end in a later turn of the loop: by then the answer is written. */
static void
handle_answer_then_end (gpointer       self,
                        KcpInvocation *invocation)
{
  char *how = g_strdup (misbehave_text (invocation));

  kcp_invocation_reply (invocation, json_node_init_string (json_node_alloc (), "answered"));
  g_idle_add_full (G_PRIORITY_DEFAULT, on_end, how, g_free);
}

static void
handle_twice (gpointer       self,
              KcpInvocation *invocation)
{
  misbehave_reply_int (invocation, 1);
  misbehave_reply_int (invocation, 2);
  kcp_invocation_fail_printf (invocation, G_IO_ERROR, G_IO_ERROR_FAILED, "and an error");
}

static void
handle_drop (gpointer       self,
             KcpInvocation *invocation)
{
}

static void
handle_hold (gpointer       self,
             KcpInvocation *invocation)
{
  g_ptr_array_add (held, kcp_invocation_ref (invocation));
}

static void
handle_release (gpointer       self,
                KcpInvocation *invocation)
{
  guint count = held->len;

  for (guint i = 0; i < held->len; i++)
    misbehave_reply_int (held->pdata[i], i);
  g_ptr_array_set_size (held, 0);
  misbehave_reply_int (invocation, count);
}

/* When the host calls its own handler back, that one may do what it likes with this child. */
static void
handle_call_host (gpointer       self,
                  KcpInvocation *invocation)
{
  g_autoptr (KcpMessage) question = kcp_message_new (misbehave_text (invocation), NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpMessage) answer = kcp_callback_handle_ask (host, question, NULL, &error);

  if (answer == NULL)
    kcp_invocation_fail (invocation, error);
  else
    kcp_invocation_reply_message (invocation, answer);
}

static void
on_told (GObject      *source,
         GAsyncResult *result,
         gpointer      data)
{
  g_autoptr (KcpMessage) answer = kcp_callback_handle_ask_finish (host, result, NULL);
}

/* Asks the host, and does not live to hear the answer. */
static void
handle_call_host_then_end (gpointer       self,
                           KcpInvocation *invocation)
{
  g_autoptr (KcpMessage) question = kcp_message_new ("later", NULL);

  kcp_callback_handle_ask_async (host, question, NULL, on_told, NULL);
  end_by (misbehave_text (invocation));
}

/* ---- printing ---- */

static void
write_all (int         fd,
           const char *bytes,
           gsize       size)
{
  while (size > 0)
    {
      gssize count = write (fd, bytes, size);

      if (count < 0 && errno == EINTR)
        continue;
      if (count < 0)
        return;
      bytes += count;
      size -= (gsize) count;
    }
}

/* As many bytes as the body says: lines on stdout and stderr in turn, the last one being "the end". */
static void
handle_flood (gpointer       self,
              KcpInvocation *invocation)
{
  g_autofree char *block = g_strnfill (64 * 1024, 'x');
  gint64 left = get_number (invocation);

  for (gsize i = 99; i < 64 * 1024; i += 100)
    block[i] = '\n';
  while (left > 0)
    {
      write_all (1, block, 64 * 1024);
      write_all (2, block, 64 * 1024);
      left -= 2 * 64 * 1024;
    }
  write_all (2, "the end\n", 8);
  kcp_invocation_reply (invocation, NULL);
}

/* The same in one line. */
static void
handle_flood_line (gpointer       self,
                   KcpInvocation *invocation)
{
  g_autofree char *block = g_strnfill (64 * 1024, 'y');

  for (gint64 left = get_number (invocation); left > 0; left -= 64 * 1024)
    write_all (2, block, 64 * 1024);
  write_all (2, "the end\n", 8);
  kcp_invocation_reply (invocation, NULL);
}

static void
handle_binary (gpointer       self,
               KcpInvocation *invocation)
{
  static const char bytes[] = "\xff\xfe%n%s%s%n\0after\x80\r\n\x1b[31m%d\n";

  write_all (1, bytes, sizeof bytes - 1);
  write_all (2, bytes, sizeof bytes - 1);
  kcp_invocation_reply (invocation, NULL);
}

/* ---- log ---- */

static void
handle_log (gpointer       self,
            KcpInvocation *invocation)
{
  const char *text = misbehave_text (invocation);

  g_log ("own-domain", G_LOG_LEVEL_CRITICAL, "critical %s", text);
  g_log ("own-domain", G_LOG_LEVEL_WARNING, "warning %s", text);
  g_log ("own-domain", G_LOG_LEVEL_MESSAGE, "message %s", text);
  g_log ("own-domain", G_LOG_LEVEL_INFO, "info %s", text);
  g_log ("own-domain", G_LOG_LEVEL_DEBUG, "debug %s", text);
  g_log_structured (NULL, G_LOG_LEVEL_MESSAGE, "MESSAGE", "structured %s", text);
  kcp_invocation_reply (invocation, NULL);
}

static gpointer
log_lines (gpointer data)
{
  for (int i = 0; i < 100; i++)
    g_message ("thread %d line %d", GPOINTER_TO_INT (data), i);
  return NULL;
}

static void
handle_log_threads (gpointer       self,
                    KcpInvocation *invocation)
{
  GThread *threads[4];

  for (int i = 0; i < 4; i++)
    threads[i] = g_thread_new ("logger", log_lines, GINT_TO_POINTER (i));
  for (int i = 0; i < 4; i++)
    g_thread_join (threads[i]);
  kcp_invocation_reply (invocation, NULL);
}

/* More than anyone reads: the host is in here, waiting for the answer. */
static void
handle_log_flood (gpointer       self,
                  KcpInvocation *invocation)
{
  g_autofree char *text = g_strnfill (1000, 'z');

  for (gint64 left = get_number (invocation); left > 0; left--)
    g_message ("%s", text);
  kcp_invocation_reply (invocation, NULL);
}

/* ---- processes and descriptors ---- */

/* A grandchild that never ends and holds all that is open; "escape": in a session of its own. */
static void
handle_fork (gpointer       self,
             KcpInvocation *invocation)
{
  gboolean escape = strcmp (misbehave_text (invocation), "escape") == 0;
  int pipe_fds[2], pid;
  char ready;

  if (pipe (pipe_fds) < 0)
    return;

  pid = fork ();
  if (pid == 0)
    {
      if (escape)
        setsid ();
      signal (SIGTERM, SIG_IGN);
      write_all (pipe_fds[1], "r", 1);
      for (;;)
        pause ();
    }

  if (read (pipe_fds[0], &ready, 1) == 1)
    misbehave_reply_int (invocation, pid);
  close (pipe_fds[0]);
  close (pipe_fds[1]);
}

/* From the number in the body on. The answer can go nowhere after that. */
static void
handle_close_all (gpointer       self,
                  KcpInvocation *invocation)
{
  close_from ((int) get_number (invocation));
}

static const KcpHandlerEntry handlers[] = {
  { "echo", "the one that works", handle_echo },
  { "end", "ends the process in the way the body names", handle_end },
  { "answer-then-end", "answers before it does", handle_answer_then_end },
  { "twice", "answers three times", handle_twice },
  { "drop", "never answers, and does not keep the call", handle_drop },
  { "hold", "answers when released", handle_hold },
  { "release", "answers all that is held, in order", handle_release },
  { "call-host", "answers with what the host says", handle_call_host },
  { "call-host-then-end", "asks and ends", handle_call_host_then_end },
  { "flood", "prints that many bytes", handle_flood },
  { "flood-line", "prints a line of that many bytes", handle_flood_line },
  { "binary", "prints what is no text", handle_binary },
  { "log", "logs at each level", handle_log },
  { "log-threads", "logs from four threads", handle_log_threads },
  { "log-flood", "logs that many kilobytes", handle_log_flood },
  { "fork", "leaves a process behind", handle_fork },
  { "close-all", "closes all descriptors from a number on", handle_close_all },
  { "environment", "what it was given", misbehave_handle_environment },
  { "process", "what it is", misbehave_handle_process },
  { NULL, NULL, NULL },
};

static KcpPlugin plugin = {
  .name = "misbehave",
  .version = "1",
  .description = "Does everything wrong",
  .configure = misbehave_configure,
  .start = misbehave_start,
  .stop = misbehave_stop,
  .handlers = handlers,
};

KCP_DEFINE_PLUGIN (plugin)
