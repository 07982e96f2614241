/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-launcher-private.h"

#include "kcp-actor-private.h"
#include "kcp-process-private.h"

struct _KcpLauncher
{
  GObject parent_instance;

  KcpLaunchSettings settings;
};

enum
{
  SIGNAL_PHASE,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (KcpLauncher, kcp_launcher, G_TYPE_OBJECT)

static void
kcp_launcher_finalize (GObject *object)
{
  kcp_launch_settings_clear (&KCP_LAUNCHER (object)->settings);

  G_OBJECT_CLASS (kcp_launcher_parent_class)->finalize (object);
}

static void
kcp_launcher_class_init (KcpLauncherClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = kcp_launcher_finalize;

  /**
   * KcpLauncher::phase:
   * @self: the launcher
   * @name: the name of the child that is being started
   * @phase: (type int): the #KcpPhase it has reached
   *
   * A start has got on. The last one of a start is %KCP_PHASE_READY.
   */
  signals[SIGNAL_PHASE] = g_signal_new ("phase", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                        NULL, G_TYPE_NONE, 2, G_TYPE_STRING, G_TYPE_INT);
}

static void
kcp_launcher_init (KcpLauncher *self)
{
  kcp_launch_settings_init (&self->settings);
}

/**
 * kcp_launcher_new:
 * @plugin: (type filename): the plugin's file; a relative path counts from the working directory
 *   at the time of the spawn
 *
 * Returns: (transfer full): a launcher with the defaults for everything else
 */
KcpLauncher *
kcp_launcher_new (const char *plugin)
{
  KcpLauncher *self;

  g_return_val_if_fail (plugin != NULL, NULL);

  self = g_object_new (KCP_TYPE_LAUNCHER, NULL);
  self->settings.plugin = g_strdup (plugin);
  return self;
}

/**
 * kcp_launcher_set_name:
 * @self: a launcher
 * @name: (nullable): what logs and errors call the child; %NULL: the plugin file's name
 *
 * Sets the actor's name.
 */
void
kcp_launcher_set_name (KcpLauncher *self,
                       const char  *name)
{
  g_return_if_fail (KCP_IS_LAUNCHER (self));

  g_free (self->settings.name);
  self->settings.name = g_strdup (name);
}

/**
 * kcp_launcher_set_log_level:
 * @self: a launcher
 * @level: the least severe level that the child passes on, such as %G_LOG_LEVEL_INFO
 *
 * Sets what of the plugin's log reaches the host. The default is %G_LOG_LEVEL_MESSAGE.
 */
void
kcp_launcher_set_log_level (KcpLauncher    *self,
                            GLogLevelFlags  level)
{
  g_return_if_fail (KCP_IS_LAUNCHER (self));

  self->settings.log_level = level;
}

/**
 * kcp_launcher_add_config:
 * @self: a launcher
 * @key: a key the plugin knows
 * @value: its value, of any length
 *
 * Adds to the plugin's configuration, which it gets in this order before it is started. It
 * travels over the socket: neither a command line nor the environment ever shows it.
 */
void
kcp_launcher_add_config (KcpLauncher *self,
                         const char  *key,
                         const char  *value)
{
  g_return_if_fail (KCP_IS_LAUNCHER (self));
  g_return_if_fail (key != NULL);
  g_return_if_fail (value != NULL);

  g_ptr_array_add (self->settings.config, g_strdup (key));
  g_ptr_array_add (self->settings.config, g_strdup (value));
}

/**
 * kcp_launcher_setenv:
 * @self: a launcher
 * @variable: (type filename): the name
 * @value: (type filename): the value
 *
 * Sets a variable in the environment of the child.
 */
void
kcp_launcher_setenv (KcpLauncher *self,
                     const char  *variable,
                     const char  *value)
{
  g_return_if_fail (KCP_IS_LAUNCHER (self));
  g_return_if_fail (variable != NULL && variable[0] != '\0' && strchr (variable, '=') == NULL);
  g_return_if_fail (value != NULL);

  g_hash_table_insert (self->settings.environ, g_strdup (variable), g_strdup (value));
}

/**
 * kcp_launcher_unsetenv:
 * @self: a launcher
 * @variable: (type filename): the name
 *
 * Keeps a variable out of the environment of the child.
 */
void
kcp_launcher_unsetenv (KcpLauncher *self,
                       const char  *variable)
{
  g_return_if_fail (KCP_IS_LAUNCHER (self));
  g_return_if_fail (variable != NULL);

  g_hash_table_insert (self->settings.environ, g_strdup (variable), NULL);
}

/**
 * kcp_launcher_set_inherit_environ:
 * @self: a launcher
 * @inherit_all: whether the child gets the whole environment of the host
 *
 * By default a child gets only what programs commonly need: PATH, HOME, USER, LOGNAME, SHELL,
 * LANG, LANGUAGE, LC_*, TZ, TERM, TMPDIR, XDG_*, G_*, GIO_*, LD_LIBRARY_PATH, KCP_DEBUG, and the
 * variables of display and session bus.
 */
void
kcp_launcher_set_inherit_environ (KcpLauncher *self,
                                  gboolean     inherit_all)
{
  g_return_if_fail (KCP_IS_LAUNCHER (self));

  self->settings.inherit_environ = inherit_all;
}

/**
 * kcp_launcher_set_working_directory:
 * @self: a launcher
 * @directory: (nullable) (type filename): where the plugin is opened and runs; %NULL: where the
 *   host is
 *
 * Sets the child's working directory.
 */
void
kcp_launcher_set_working_directory (KcpLauncher *self,
                                    const char  *directory)
{
  g_return_if_fail (KCP_IS_LAUNCHER (self));

  g_free (self->settings.directory);
  self->settings.directory = g_strdup (directory);
}

/**
 * kcp_launcher_set_stub:
 * @self: a launcher
 * @path: (nullable) (type filename): the program to start; %NULL: what the environment variable
 *   KCP_STUB names, else the kcp-child of this library
 *
 * Sets the stub.
 */
void
kcp_launcher_set_stub (KcpLauncher *self,
                       const char  *path)
{
  g_return_if_fail (KCP_IS_LAUNCHER (self));

  g_free (self->settings.stub);
  self->settings.stub = g_strdup (path);
}

/**
 * kcp_launcher_set_wrapper:
 * @self: a launcher
 * @argv: (nullable) (array zero-terminated=1): a command that starts the stub, whose path is
 *   added as its last argument: gdb --args, valgrind, strace …
 *
 * Sets a wrapper command. A start under a wrapper has no deadline unless one is set.
 */
void
kcp_launcher_set_wrapper (KcpLauncher       *self,
                          const char *const *argv)
{
  g_return_if_fail (KCP_IS_LAUNCHER (self));

  g_strfreev (self->settings.wrapper);
  self->settings.wrapper = argv && argv[0] ? g_strdupv ((char **) argv) : NULL;
}

/**
 * kcp_launcher_set_core_dumps:
 * @self: a launcher
 * @allowed: whether a crash may leave a core dump
 *
 * By default it may not: writing one delays the news of the crash by the time it takes.
 */
void
kcp_launcher_set_core_dumps (KcpLauncher *self,
                             gboolean     allowed)
{
  g_return_if_fail (KCP_IS_LAUNCHER (self));

  self->settings.core_dumps = allowed;
}

/**
 * kcp_launcher_set_callback_handler:
 * @self: a launcher
 * @handler: (nullable) (transfer none): what answers the calls of the child; %NULL: a
 *   #KcpNoopCallbackHandler
 *
 * Sets the callback handler.
 */
void
kcp_launcher_set_callback_handler (KcpLauncher        *self,
                                   KcpCallbackHandler *handler)
{
  g_return_if_fail (KCP_IS_LAUNCHER (self));
  g_return_if_fail (handler == NULL || KCP_IS_CALLBACK_HANDLER (handler));

  g_set_object (&self->settings.handler, handler);
}

/**
 * kcp_launcher_set_frame_limit:
 * @self: a launcher
 * @bytes: the largest message, from 4 KiB to 2 GiB; the default is 16 MiB
 *
 * Sets how large a message may be in either direction. A larger one is refused by its sender.
 */
void
kcp_launcher_set_frame_limit (KcpLauncher *self,
                              gsize        bytes)
{
  g_return_if_fail (KCP_IS_LAUNCHER (self));

  self->settings.frame_limit = CLAMP (bytes, KCP_LAUNCH_SMALLEST_FRAME, (gsize) G_MAXINT32);
}

/**
 * kcp_launcher_set_stream_window:
 * @self: a launcher
 * @items: how many items of a stream may be under way and not taken; 64 by default
 * @bytes: how many bytes of them; 1 MiB by default
 *
 * Sets how far a producer may be ahead of who reads its stream, in either direction. One item
 * always fits.
 */
void
kcp_launcher_set_stream_window (KcpLauncher *self,
                                guint        items,
                                gsize        bytes)
{
  g_return_if_fail (KCP_IS_LAUNCHER (self));

  self->settings.stream_items = CLAMP (items, 1, G_MAXINT32);
  self->settings.stream_bytes = CLAMP (bytes, 1, (gsize) G_MAXINT32);
}

/**
 * kcp_launcher_set_max_in_flight:
 * @self: a launcher
 * @calls: how many calls the child is given at the same time; 1024 by default
 *
 * Sets how many calls may be unanswered; more wait in the mailbox. Calls made inside a callback
 * of the child do not count against it.
 */
void
kcp_launcher_set_max_in_flight (KcpLauncher *self,
                                guint        calls)
{
  g_return_if_fail (KCP_IS_LAUNCHER (self));

  self->settings.max_in_flight = MAX (calls, 1);
}

/**
 * kcp_launcher_set_mailbox:
 * @self: a launcher
 * @calls: how many calls may wait behind those in flight; 16384 by default
 * @bytes: how many bytes of them; 64 MiB by default
 *
 * Sets when a call fails with %KCP_ERROR_BUSY; see also kcp_message_set_wait_for_room().
 */
void
kcp_launcher_set_mailbox (KcpLauncher *self,
                          guint        calls,
                          gsize        bytes)
{
  g_return_if_fail (KCP_IS_LAUNCHER (self));

  self->settings.mailbox_calls = calls;
  self->settings.mailbox_bytes = bytes;
}

/**
 * kcp_launcher_set_start_timeout:
 * @self: a launcher
 * @milliseconds: how long a start may take; %KCP_TIMEOUT_NONE for ever; %KCP_TIMEOUT_DEFAULT for
 *   10 s, or for ever under a wrapper
 *
 * Sets the deadline of the whole start.
 */
void
kcp_launcher_set_start_timeout (KcpLauncher *self,
                                int          milliseconds)
{
  g_return_if_fail (KCP_IS_LAUNCHER (self));
  g_return_if_fail (milliseconds >= KCP_TIMEOUT_DEFAULT);

  self->settings.start_timeout = milliseconds;
}

/**
 * kcp_launcher_set_call_timeout:
 * @self: a launcher
 * @milliseconds: how long a call may take that says nothing else; %KCP_TIMEOUT_NONE for ever;
 *   the default is a minute
 *
 * Sets the deadline of calls in both directions. Streams have none unless the message sets one.
 */
void
kcp_launcher_set_call_timeout (KcpLauncher *self,
                               int          milliseconds)
{
  g_return_if_fail (KCP_IS_LAUNCHER (self));
  g_return_if_fail (milliseconds >= KCP_TIMEOUT_DEFAULT);

  self->settings.call_timeout = milliseconds == KCP_TIMEOUT_DEFAULT ? KCP_LAUNCH_CALL_TIMEOUT : milliseconds;
}

/**
 * kcp_launcher_set_stop_timeouts:
 * @self: a launcher
 * @drain_ms: how long a stopping child may finish the calls it has; 2000 by default
 * @term_ms: how long it may take after SIGTERM; 2000 by default
 * @kill_ms: how long its end after SIGKILL is waited for; 1000 by default
 *
 * Sets the times of the stop, which is never longer than their sum. The first is also how long
 * the child lives on when the host is gone.
 */
void
kcp_launcher_set_stop_timeouts (KcpLauncher *self,
                                int          drain_ms,
                                int          term_ms,
                                int          kill_ms)
{
  g_return_if_fail (KCP_IS_LAUNCHER (self));
  g_return_if_fail (drain_ms >= 0 && term_ms >= 0 && kill_ms >= 0);

  self->settings.drain_timeout = drain_ms;
  self->settings.term_timeout = term_ms;
  self->settings.kill_timeout = kill_ms;
}

const KcpLaunchSettings *
kcp_launcher_get_settings (KcpLauncher *self)
{
  return &self->settings;
}

/* ---- spawning ---- */

static void
on_phase (KcpProcess *process,
          KcpPhase    phase,
          gpointer    data)
{
  KcpLauncher *self = g_task_get_source_object (G_TASK (data));

  g_signal_emit (self, signals[SIGNAL_PHASE], 0, kcp_process_get_name (process), (int) phase);
}

static void
on_started (KcpProcess   *process,
            const GError *error,
            gpointer      data)
{
  g_autoptr (GTask) task = data;

  if (error)
    g_task_return_error (task, g_error_copy (error));
  else
    g_task_return_pointer (task, kcp_actor_new (process), g_object_unref);
}

/**
 * kcp_launcher_spawn_async:
 * @self: a launcher
 * @cancellable: (nullable): ends the start, and the child with it
 * @callback: (scope async): called when the child is ready, or cannot be
 * @user_data: passed to @callback
 *
 * Starts a child. The actor will belong to the calling thread's default main context.
 */
void
kcp_launcher_spawn_async (KcpLauncher         *self,
                          GCancellable        *cancellable,
                          GAsyncReadyCallback  callback,
                          gpointer             user_data)
{
  GTask *task;
  KcpLaunchPlan *plan;
  GError *error = NULL;

  g_return_if_fail (KCP_IS_LAUNCHER (self));

  task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, kcp_launcher_spawn_async);
  /* The start looks after the cancellable; once there is an actor, it is given out. */
  g_task_set_check_cancellable (task, FALSE);

  plan = kcp_launch_plan_new (&self->settings, &error);
  if (plan)
    kcp_process_start (plan, g_task_get_context (task), cancellable, on_phase, on_started, task);
  else
    {
      g_task_return_error (task, error);
      g_object_unref (task);
    }
}

/**
 * kcp_launcher_spawn_finish:
 * @self: a launcher
 * @result: what the callback got
 * @error: return location for an error
 *
 * Returns: (transfer full): an actor that takes calls, or %NULL with an error: one of
 *   %KCP_ERROR_SPAWN_FAILED to %KCP_ERROR_PLUGIN_START, %KCP_ERROR_CHILD_EXITED,
 *   %KCP_ERROR_CHILD_CRASHED, %KCP_ERROR_PROTOCOL, %KCP_ERROR_PERMISSION,
 *   %KCP_ERROR_INVALID_ARGUMENT or %G_IO_ERROR_CANCELLED
 */
KcpActor *
kcp_launcher_spawn_finish (KcpLauncher   *self,
                           GAsyncResult  *result,
                           GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}
