/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-actor-private.h"

struct _KcpActor
{
  GObject parent_instance;

  KcpProcess *process;
};

enum
{
  PROP_STATE = 1,
  PROP_PID,
  PROP_NAME,
  PROP_MANIFEST,
  PROP_IN_FLIGHT,
  PROP_RESPONSIVE,
  PROP_EXIT_REPORT,
  N_PROPS,
};

enum
{
  SIGNAL_EXITED,
  SIGNAL_LOG,
  N_SIGNALS,
};

static GParamSpec *props[N_PROPS];
static guint signals[N_SIGNALS];

static void
callable_iface_init (KcpCallableInterface *iface)
{
  iface->ask_async = (void (*) (KcpCallable *, KcpMessage *, GCancellable *, GAsyncReadyCallback,
                                gpointer)) kcp_actor_ask_async;
  iface->ask_finish = (KcpMessage *(*) (KcpCallable *, GAsyncResult *, GError **)) kcp_actor_ask_finish;
  iface->tell = (gboolean (*) (KcpCallable *, KcpMessage *, GError **)) kcp_actor_tell;
  iface->ask_stream = (KcpStream *(*) (KcpCallable *, KcpMessage *, GCancellable *)) kcp_actor_ask_stream;
}

G_DEFINE_FINAL_TYPE_WITH_CODE (KcpActor, kcp_actor, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (KCP_TYPE_CALLABLE, callable_iface_init))

/* The handle goes; the child is stopped by what lives on behind it. */
static void
kcp_actor_dispose (GObject *object)
{
  KcpActor *self = KCP_ACTOR (object);

  if (self->process)
    kcp_process_request_stop (self->process);

  G_OBJECT_CLASS (kcp_actor_parent_class)->dispose (object);
}

static void
kcp_actor_finalize (GObject *object)
{
  g_clear_pointer (&KCP_ACTOR (object)->process, kcp_process_unref);

  G_OBJECT_CLASS (kcp_actor_parent_class)->finalize (object);
}

static void
kcp_actor_get_property (GObject    *object,
                        guint       id,
                        GValue     *value,
                        GParamSpec *pspec)
{
  KcpActor *self = KCP_ACTOR (object);

  switch (id)
    {
    case PROP_STATE:
      g_value_set_int (value, (int) kcp_actor_get_state (self));
      break;
    case PROP_PID:
      g_value_set_int (value, kcp_actor_get_pid (self));
      break;
    case PROP_NAME:
      g_value_set_string (value, kcp_actor_get_name (self));
      break;
    case PROP_MANIFEST:
      g_value_set_boxed (value, kcp_actor_get_manifest (self));
      break;
    case PROP_IN_FLIGHT:
      g_value_set_uint (value, kcp_actor_get_in_flight (self));
      break;
    case PROP_RESPONSIVE:
      g_value_set_boolean (value, kcp_actor_get_responsive (self));
      break;
    case PROP_EXIT_REPORT:
      g_value_set_boxed (value, kcp_actor_get_exit_report (self));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
kcp_actor_class_init (KcpActorClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GParamFlags readable = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;

  object_class->dispose = kcp_actor_dispose;
  object_class->finalize = kcp_actor_finalize;
  object_class->get_property = kcp_actor_get_property;

  /**
   * KcpActor:state:
   *
   * The #KcpActorState of the child.
   */
  props[PROP_STATE] = g_param_spec_int ("state", NULL, NULL, KCP_ACTOR_STARTING, KCP_ACTOR_EXITED,
                                        KCP_ACTOR_STARTING, readable);
  /**
   * KcpActor:pid:
   *
   * The process id of the child, also after its end.
   */
  props[PROP_PID] = g_param_spec_int ("pid", NULL, NULL, 0, G_MAXINT, 0, readable);
  /**
   * KcpActor:name:
   *
   * What logs and errors call the child.
   */
  props[PROP_NAME] = g_param_spec_string ("name", NULL, NULL, NULL, readable);
  /**
   * KcpActor:manifest:
   *
   * What the plugin says of itself.
   */
  props[PROP_MANIFEST] = g_param_spec_boxed ("manifest", NULL, NULL, KCP_TYPE_MANIFEST, readable);
  /**
   * KcpActor:in-flight:
   *
   * Calls that have no answer yet. Not notified.
   */
  props[PROP_IN_FLIGHT] = g_param_spec_uint ("in-flight", NULL, NULL, 0, G_MAXUINT, 0, readable);
  /**
   * KcpActor:responsive:
   *
   * %FALSE while calls are open and the child has not answered a ping for three seconds.
   */
  props[PROP_RESPONSIVE] = g_param_spec_boolean ("responsive", NULL, NULL, TRUE, readable);
  /**
   * KcpActor:exit-report:
   *
   * How the child has ended; %NULL while it runs.
   */
  props[PROP_EXIT_REPORT] = g_param_spec_boxed ("exit-report", NULL, NULL, KCP_TYPE_EXIT_REPORT, readable);
  g_object_class_install_properties (object_class, N_PROPS, props);

  /**
   * KcpActor::exited:
   * @self: the actor
   * @report: (type KcpExitReport): how it ended
   *
   * The child is gone and reaped. Emitted once, after all its calls have failed.
   */
  signals[SIGNAL_EXITED] = g_signal_new ("exited", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                         NULL, G_TYPE_NONE, 1, KCP_TYPE_EXIT_REPORT);
  /**
   * KcpActor::log:
   * @self: the actor
   * @domain: the log domain
   * @level: the #GLogLevelFlags of the message
   * @message: the text
   *
   * The plugin has logged something. It also goes to the log of this program.
   */
  signals[SIGNAL_LOG] = g_signal_new ("log", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                      NULL, G_TYPE_NONE, 3, G_TYPE_STRING, G_TYPE_UINT, G_TYPE_STRING);
}

static void
kcp_actor_init (KcpActor *self)
{
}

/* ---- what the process tells ---- */

static void
on_state (GObject *observed)
{
  g_object_notify_by_pspec (observed, props[PROP_STATE]);
}

static void
on_responsive (GObject *observed)
{
  g_object_notify_by_pspec (observed, props[PROP_RESPONSIVE]);
}

static void
on_log (GObject        *observed,
        const char     *domain,
        GLogLevelFlags  level,
        const char     *message)
{
  g_signal_emit (observed, signals[SIGNAL_LOG], 0, domain, (guint) level, message);
}

static void
on_exited (GObject *observed)
{
  KcpActor *self = KCP_ACTOR (observed);

  g_object_notify_by_pspec (observed, props[PROP_EXIT_REPORT]);
  g_signal_emit (observed, signals[SIGNAL_EXITED], 0, kcp_process_get_report (self->process));
}

static const KcpProcessObserver observer = {
  .state = on_state,
  .responsive = on_responsive,
  .log = on_log,
  .exited = on_exited,
};

KcpActor *
kcp_actor_new (KcpProcess *process)
{
  KcpActor *self = g_object_new (KCP_TYPE_ACTOR, NULL);

  self->process = kcp_process_ref (process);
  kcp_process_observe (process, &observer, G_OBJECT (self));
  return self;
}

KcpProcess *
kcp_actor_get_process (KcpActor *self)
{
  return self->process;
}

KcpLink *
kcp_actor_get_link (KcpActor *self)
{
  return kcp_process_get_link (self->process);
}

/* ---- calls ---- */

/**
 * kcp_actor_ask_async:
 * @self: an actor
 * @message: (transfer none): what to ask
 * @cancellable: (nullable): cancels the call; the handler is told
 * @callback: (scope async): called with the answer
 * @user_data: passed to @callback
 *
 * Asks the child. Any number of calls may be under way; the answers come in the order in which
 * the plugin gives them. @callback is never called from inside this function.
 */
void
kcp_actor_ask_async (KcpActor            *self,
                     KcpMessage          *message,
                     GCancellable        *cancellable,
                     GAsyncReadyCallback  callback,
                     gpointer             user_data)
{
  g_return_if_fail (KCP_IS_ACTOR (self));
  g_return_if_fail (message != NULL);

  kcp_link_ask_async (kcp_process_get_link (self->process), self, message, cancellable, callback, user_data);
}

/**
 * kcp_actor_ask_finish:
 * @self: an actor
 * @result: what the callback got
 * @error: return location for an error
 *
 * Returns: (transfer full): the answer, or %NULL with the handler's error, a %KCP_ERROR or
 *   %G_IO_ERROR_CANCELLED
 */
KcpMessage *
kcp_actor_ask_finish (KcpActor      *self,
                      GAsyncResult  *result,
                      GError       **error)
{
  g_return_val_if_fail (KCP_IS_ACTOR (self), NULL);

  return kcp_link_ask_finish (result, error);
}

/**
 * kcp_actor_ask:
 * @self: an actor
 * @message: (transfer none): what to ask
 * @cancellable: (nullable): cancels the call, from whichever thread
 * @error: return location for an error
 *
 * Asks the child and blocks until it has answered. Nothing else of the program runs meanwhile in
 * this thread: no other source, no other call's callback. Callbacks that the plugin makes to answer
 * this call are served, however deep; for who serves them, see #KcpActor.
 *
 * Returns: (transfer full): the answer, or %NULL with an error
 */
KcpMessage *
kcp_actor_ask (KcpActor      *self,
               KcpMessage    *message,
               GCancellable  *cancellable,
               GError       **error)
{
  g_autoptr (KcpActor) keep = NULL;

  g_return_val_if_fail (KCP_IS_ACTOR (self), NULL);
  g_return_val_if_fail (message != NULL, NULL);

  keep = g_object_ref (self);
  return kcp_link_ask (kcp_process_get_link (self->process), message, cancellable, error);
}

/**
 * kcp_actor_tell:
 * @self: an actor
 * @message: (transfer none): what to tell
 * @error: return location for an error
 *
 * Tells the child something that needs no answer. Messages arrive in the order in which they
 * were sent. In a thread that is not the one that runs the actor's context it is handed over to
 * that, and what goes wrong there is not told.
 *
 * Returns: %FALSE with an error if it could not be sent
 */
gboolean
kcp_actor_tell (KcpActor    *self,
                KcpMessage  *message,
                GError     **error)
{
  g_return_val_if_fail (KCP_IS_ACTOR (self), FALSE);
  g_return_val_if_fail (message != NULL, FALSE);

  return kcp_link_tell (kcp_process_get_link (self->process), message, error);
}

/**
 * kcp_actor_ask_stream:
 * @self: an actor
 * @message: (transfer none): what to ask
 * @cancellable: (nullable): cancels the call; the handler is told
 *
 * Asks the child for a stream of items. An error comes with its first item. Also works where the
 * answer is a single reply: a stream without items, whose result it is. Items that had come
 * before the end, whatever that was, can still be taken.
 *
 * Returns: (transfer full): the stream
 */
KcpStream *
kcp_actor_ask_stream (KcpActor     *self,
                      KcpMessage   *message,
                      GCancellable *cancellable)
{
  g_return_val_if_fail (KCP_IS_ACTOR (self), NULL);
  g_return_val_if_fail (message != NULL, NULL);

  return kcp_link_ask_stream (kcp_process_get_link (self->process), message, cancellable);
}

/* ---- the end ---- */

/**
 * kcp_actor_stop_async:
 * @self: an actor
 * @cancellable: (nullable): ends the wait, not the stop
 * @callback: (scope async): called when the child is gone
 * @user_data: passed to @callback
 *
 * Stops the child: new calls fail with %KCP_ERROR_STOPPING, those under way may finish, then it
 * ends. If it does not, signals end it; see kcp_launcher_set_stop_timeouts(). May be called
 * more than once, and when it is gone already.
 */
void
kcp_actor_stop_async (KcpActor            *self,
                      GCancellable        *cancellable,
                      GAsyncReadyCallback  callback,
                      gpointer             user_data)
{
  GTask *task;

  g_return_if_fail (KCP_IS_ACTOR (self));

  task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, kcp_actor_stop_async);
  kcp_process_request_stop (self->process);
  kcp_process_request_exit (self->process, task);
}

/**
 * kcp_actor_stop_finish:
 * @self: an actor
 * @result: what the callback got
 * @error: return location for an error
 *
 * Returns: (transfer full): how the child has ended, or %NULL with %KCP_ERROR_TIMED_OUT if even
 *   SIGKILL has not ended it in time, or %G_IO_ERROR_CANCELLED
 */
KcpExitReport *
kcp_actor_stop_finish (KcpActor      *self,
                       GAsyncResult  *result,
                       GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

/**
 * kcp_actor_kill:
 * @self: an actor
 *
 * Ends the child and its process group with SIGKILL. The actor has exited when
 * #KcpActor::exited says so.
 */
void
kcp_actor_kill (KcpActor *self)
{
  g_return_if_fail (KCP_IS_ACTOR (self));

  kcp_process_request_kill (self->process);
}

/* ---- properties ---- */

/**
 * kcp_actor_get_state:
 * @self: an actor
 *
 * Returns: how far the child's life has come
 */
KcpActorState
kcp_actor_get_state (KcpActor *self)
{
  g_return_val_if_fail (KCP_IS_ACTOR (self), KCP_ACTOR_EXITED);

  return kcp_process_get_state (self->process);
}

/**
 * kcp_actor_get_pid:
 * @self: an actor
 *
 * Returns: the process id of the child, which may be someone else's once it has exited
 */
int
kcp_actor_get_pid (KcpActor *self)
{
  g_return_val_if_fail (KCP_IS_ACTOR (self), 0);

  return kcp_process_get_pid (self->process);
}

/**
 * kcp_actor_get_name:
 * @self: an actor
 *
 * Returns: (transfer none): what logs and errors call the child
 */
const char *
kcp_actor_get_name (KcpActor *self)
{
  g_return_val_if_fail (KCP_IS_ACTOR (self), NULL);

  return kcp_process_get_name (self->process);
}

/**
 * kcp_actor_get_manifest:
 * @self: an actor
 *
 * Returns: (transfer none): what the plugin says of itself
 */
KcpManifest *
kcp_actor_get_manifest (KcpActor *self)
{
  g_return_val_if_fail (KCP_IS_ACTOR (self), NULL);

  return kcp_process_get_manifest (self->process);
}

/**
 * kcp_actor_get_in_flight:
 * @self: an actor
 *
 * Returns: how many calls have no answer yet
 */
guint
kcp_actor_get_in_flight (KcpActor *self)
{
  g_return_val_if_fail (KCP_IS_ACTOR (self), 0);

  return kcp_link_get_in_flight (kcp_process_get_link (self->process));
}

/**
 * kcp_actor_get_responsive:
 * @self: an actor
 *
 * Returns: whether the child answers pings; see #KcpActor:responsive
 */
gboolean
kcp_actor_get_responsive (KcpActor *self)
{
  g_return_val_if_fail (KCP_IS_ACTOR (self), FALSE);

  return kcp_process_get_responsive (self->process);
}

/**
 * kcp_actor_get_exit_report:
 * @self: an actor
 *
 * Returns: (transfer none) (nullable): how the child has ended; %NULL while it runs
 */
KcpExitReport *
kcp_actor_get_exit_report (KcpActor *self)
{
  g_return_val_if_fail (KCP_IS_ACTOR (self), NULL);

  return kcp_process_get_report (self->process);
}
