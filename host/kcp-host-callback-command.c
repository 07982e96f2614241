/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-host-callback-command.h"
#include "kcp-host-request.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Commands of one path that run at the same time; the other callbacks wait for their turn. */
#define MAX_RUNNING 16

/* Of a failed command's stderr, in bytes. */
#define MAX_REASON 2000

struct _HostCallbackCommand
{
  GObject parent_instance;

  char **argv;
  guint n_running;
  GQueue waiting;   /* of KcpInvocation, owned */
};

/* One run of the command. */
typedef struct
{
  HostCallbackCommand *owner;
  KcpInvocation *invocation;
  GSubprocess *process;
  gulong cancel_handler;
} Run;

static void handler_iface_init (KcpCallbackHandlerInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (HostCallbackCommand, host_callback_command, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (KCP_TYPE_CALLBACK_HANDLER, handler_iface_init))

static void start_waiting (HostCallbackCommand *self);

static void
run_free (Run *self)
{
  g_clear_signal_handler (&self->cancel_handler, kcp_invocation_get_cancellable (self->invocation));
  g_clear_object (&self->process);
  kcp_invocation_unref (self->invocation);
  g_object_unref (self->owner);
  g_free (self);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Run, run_free)

/* The end of what it wrote to stderr, from the start of a character on. */
static char *
reason_from (GBytes *bytes)
{
  gsize size;
  const char *data = g_bytes_get_data (bytes, &size);
  gsize skip = size > MAX_REASON ? size - MAX_REASON : 0;
  char *reason;

  while (skip > 0 && skip < size && ((guchar) data[skip] & 0xc0) == 0x80)
    skip++;

  reason = g_utf8_make_valid (data ? data + skip : "", data ? (gssize) (size - skip) : 0);
  return g_strstrip (reason);
}

/* JSON if it is, else the text without its line end; nothing gives null. */
static JsonNode *
reply_from (GBytes  *bytes,
            GError **error)
{
  gsize size;
  const char *data = g_bytes_get_data (bytes, &size);
  g_autofree char *text = NULL;
  JsonNode *node;

  if (size == 0)
    return json_node_new (JSON_NODE_NULL);

  node = kcp_json_parse (data, (gssize) size, NULL);
  if (node)
    return node;

  if (!g_utf8_validate_len (data, size, NULL))
    {
      g_set_error_literal (error, KCP_ERROR, KCP_ERROR_HANDLER_FAILED,
                           "the callback's command printed neither JSON nor text in UTF-8");
      return NULL;
    }

  text = g_strndup (data, size);
  if (text[size - 1] == '\n')
    text[size - 1] = '\0';
  node = json_node_new (JSON_NODE_VALUE);
  json_node_set_string (node, text);
  return node;
}

static void
answer (Run    *run,
        GBytes *output,
        GBytes *complaints)
{
  GSubprocess *process = run->process;
  g_autofree char *reason = reason_from (complaints);
  g_autofree char *how = NULL;
  g_autoptr (GError) error = NULL;
  JsonNode *reply;

  if (g_subprocess_get_successful (process))
    {
      reply = reply_from (output, &error);
      if (reply)
        kcp_invocation_reply (run->invocation, reply);
      else
        kcp_invocation_fail (run->invocation, error);
      return;
    }

  if (g_subprocess_get_if_exited (process))
    how = g_strdup_printf ("exit code %d", g_subprocess_get_exit_status (process));
  else
    how = g_strdup_printf ("signal %d (%s)", g_subprocess_get_term_sig (process),
                           g_strsignal (g_subprocess_get_term_sig (process)));

  kcp_invocation_fail_printf (run->invocation, KCP_ERROR, KCP_ERROR_HANDLER_FAILED,
                              "the callback's command “%s” failed with %s%s%s",
                              run->owner->argv[0], how, *reason ? ": " : "", reason);
}

static void
run_done (GObject      *source,
          GAsyncResult *result,
          gpointer      user_data)
{
  g_autoptr (Run) run = user_data;
  g_autoptr (GBytes) output = NULL;
  g_autoptr (GBytes) complaints = NULL;
  g_autoptr (GError) error = NULL;

  run->owner->n_running--;
  if (g_subprocess_communicate_finish (G_SUBPROCESS (source), result, &output, &complaints, &error))
    answer (run, output, complaints);
  else
    kcp_invocation_fail (run->invocation, error);

  start_waiting (run->owner);
}

static void
run_cancelled (GCancellable *cancellable,
               gpointer      user_data)
{
  Run *run = user_data;

  g_subprocess_force_exit (run->process);
}

/* A file in memory, not a pipe: a command that leaves its input unread does not break anything. */
static int
open_input (const char  *text,
            GError     **error)
{
  gsize left = strlen (text);
  int fd = memfd_create ("kcp-callback", MFD_CLOEXEC);

  while (fd >= 0 && left > 0)
    {
      gssize n = write (fd, text, left);

      if (n < 0 && errno != EINTR)
        break;
      text += MAX (n, 0);
      left -= (gsize) MAX (n, 0);
    }

  if (fd < 0 || left > 0 || lseek (fd, 0, SEEK_SET) != 0)
    {
      g_set_error_literal (error, G_IO_ERROR, g_io_error_from_errno (errno), g_strerror (errno));
      if (fd >= 0)
        close (fd);
      return -1;
    }

  return fd;
}

static GSubprocess *
spawn (HostCallbackCommand  *self,
       KcpInvocation        *invocation,
       GError              **error)
{
  JsonNode *body = kcp_invocation_get_body (invocation, error);
  g_autofree char *text = body ? kcp_json_to_string (body, error) : NULL;
  g_autofree char *line = text ? g_strconcat (text, "\n", NULL) : NULL;
  g_autoptr (GSubprocessLauncher) launcher = NULL;
  int input = line ? open_input (line, error) : -1;

  if (input < 0)
    return NULL;

  launcher = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE);
  g_subprocess_launcher_take_stdin_fd (launcher, input);
  g_subprocess_launcher_setenv (launcher, "KCP_CALLBACK_PATH", kcp_invocation_get_path (invocation), TRUE);
  return g_subprocess_launcher_spawnv (launcher, (const char *const *) self->argv, error);
}

static void
start_run (HostCallbackCommand *self,
           KcpInvocation       *invocation)
{
  GCancellable *cancellable = kcp_invocation_get_cancellable (invocation);
  g_autoptr (GError) error = NULL;
  g_autoptr (GSubprocess) process = spawn (self, invocation, &error);
  Run *run;

  if (process == NULL)
    {
      kcp_invocation_fail_printf (invocation, KCP_ERROR, KCP_ERROR_HANDLER_FAILED,
                                  "the callback's command “%s” could not be run: %s",
                                  self->argv[0], error->message);
      return;
    }

  run = g_new0 (Run, 1);
  run->owner = g_object_ref (self);
  run->invocation = kcp_invocation_ref (invocation);
  run->process = g_object_ref (process);
  run->cancel_handler = g_signal_connect (cancellable, "cancelled", G_CALLBACK (run_cancelled), run);
  self->n_running++;
  g_subprocess_communicate_async (process, NULL, cancellable, run_done, run);
}

static void
start_waiting (HostCallbackCommand *self)
{
  while (self->n_running < MAX_RUNNING && !g_queue_is_empty (&self->waiting))
    {
      g_autoptr (KcpInvocation) invocation = g_queue_pop_head (&self->waiting);

      if (kcp_invocation_is_open (invocation))
        start_run (self, invocation);
    }
}

static void
handle (KcpCallbackHandler *handler,
        KcpInvocation      *invocation)
{
  HostCallbackCommand *self = HOST_CALLBACK_COMMAND (handler);

  g_queue_push_tail (&self->waiting, kcp_invocation_ref (invocation));
  start_waiting (self);
}

static void
handler_iface_init (KcpCallbackHandlerInterface *iface)
{
  iface->handle = handle;
}

static void
host_callback_command_finalize (GObject *object)
{
  HostCallbackCommand *self = HOST_CALLBACK_COMMAND (object);

  g_queue_clear_full (&self->waiting, (GDestroyNotify) kcp_invocation_unref);
  g_strfreev (self->argv);

  G_OBJECT_CLASS (host_callback_command_parent_class)->finalize (object);
}

static void
host_callback_command_class_init (HostCallbackCommandClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = host_callback_command_finalize;
}

static void
host_callback_command_init (HostCallbackCommand *self)
{
  g_queue_init (&self->waiting);
}

gboolean
host_callback_command_add (KcpCallbackRouter  *router,
                           const char         *setting,
                           GError            **error)
{
  const char *equals = strchr (setting, '=');
  g_autoptr (HostCallbackCommand) self = NULL;
  g_autofree char *path = NULL;

  if (equals == NULL)
    {
      g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                   _("--callback wants PATH=COMMAND, not “%s”"), setting);
      return FALSE;
    }

  path = g_strndup (setting, (gsize) (equals - setting));
  if (!host_path_check (path, error))
    {
      g_prefix_error (error, "--callback %s: ", setting);
      return FALSE;
    }

  self = g_object_new (HOST_TYPE_CALLBACK_COMMAND, NULL);
  if (!g_shell_parse_argv (equals + 1, NULL, &self->argv, error))
    {
      g_prefix_error (error, "--callback %s: ", setting);
      return FALSE;
    }

  if (!kcp_callback_router_add (router, path, KCP_CALLBACK_HANDLER (self), error))
    {
      g_prefix_error (error, "--callback %s: ", setting);
      return FALSE;
    }

  return TRUE;
}
