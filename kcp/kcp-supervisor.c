/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-supervisor-private.h"

#define FIRST_MS 100
#define MOST_MS (10 * 1000)
#define HEALTHY_MS (10 * 1000)
#define RESTARTS 3
#define WINDOW_MS (5 * 60 * 1000)

enum
{
  SIGNAL_RESTARTING,
  SIGNAL_RESTARTED,
  SIGNAL_FAILED,
  N_SIGNALS,
};

static GParamSpec *props[KCP_SUPERVISOR_N_PROPS];
static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE_WITH_CODE (KcpSupervisor, kcp_supervisor, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (KCP_TYPE_CALLABLE, kcp_supervisor_callable_init))

static void
kcp_supervisor_constructed (GObject *object)
{
  KcpSupervisor *self = KCP_SUPERVISOR (object);

  G_OBJECT_CLASS (kcp_supervisor_parent_class)->constructed (object);

  self->context = g_main_context_ref_thread_default ();
  self->backlog = kcp_backlog_new (self->context);
  kcp_supervisor_set_up (self);
}

static void
kcp_supervisor_dispose (GObject *object)
{
  kcp_supervisor_end (KCP_SUPERVISOR (object));

  G_OBJECT_CLASS (kcp_supervisor_parent_class)->dispose (object);
}

static void
kcp_supervisor_finalize (GObject *object)
{
  KcpSupervisor *self = KCP_SUPERVISOR (object);

  kcp_backlog_unref (self->backlog);
  g_clear_object (&self->launcher);
  g_clear_pointer (&self->last_report, kcp_exit_report_unref);
  g_clear_error (&self->last_error);
  g_clear_error (&self->verdict);
  g_array_unref (self->history);
  g_ptr_array_unref (self->starters);
  g_ptr_array_unref (self->stoppers);
  g_main_context_unref (self->context);

  G_OBJECT_CLASS (kcp_supervisor_parent_class)->finalize (object);
}

static void
kcp_supervisor_get_property (GObject    *object,
                             guint       id,
                             GValue     *value,
                             GParamSpec *pspec)
{
  KcpSupervisor *self = KCP_SUPERVISOR (object);

  switch (id)
    {
    case KCP_SUPERVISOR_PROP_STATE:
      g_value_set_int (value, (int) self->state);
      break;
    case KCP_SUPERVISOR_PROP_POLICY:
      g_value_set_int (value, (int) self->policy);
      break;
    case KCP_SUPERVISOR_PROP_KILL_UNRESPONSIVE:
      g_value_set_boolean (value, self->kill_unresponsive);
      break;
    case KCP_SUPERVISOR_PROP_LAUNCHER:
      g_value_set_object (value, self->launcher);
      break;
    case KCP_SUPERVISOR_PROP_ACTOR:
      g_value_set_object (value, self->actor);
      break;
    case KCP_SUPERVISOR_PROP_RESTARTS:
      g_value_set_uint (value, self->restarts);
      break;
    case KCP_SUPERVISOR_PROP_NEXT_RESTART:
      g_value_set_int64 (value, self->next_restart);
      break;
    case KCP_SUPERVISOR_PROP_LAST_REPORT:
      g_value_set_boxed (value, self->last_report);
      break;
    case KCP_SUPERVISOR_PROP_LAST_ERROR:
      g_value_set_boxed (value, self->last_error);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
kcp_supervisor_set_property (GObject      *object,
                             guint         id,
                             const GValue *value,
                             GParamSpec   *pspec)
{
  KcpSupervisor *self = KCP_SUPERVISOR (object);

  switch (id)
    {
    case KCP_SUPERVISOR_PROP_POLICY:
      kcp_supervisor_set_policy (self, (KcpRestartPolicy) g_value_get_int (value));
      break;
    case KCP_SUPERVISOR_PROP_KILL_UNRESPONSIVE:
      kcp_supervisor_set_kill_unresponsive (self, g_value_get_boolean (value));
      break;
    case KCP_SUPERVISOR_PROP_LAUNCHER:
      self->launcher = g_value_dup_object (value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
install_properties (GObjectClass *object_class)
{
  const GParamFlags flags = G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;
  const GParamFlags readable = G_PARAM_READABLE | flags;
  const GParamFlags writable = G_PARAM_READWRITE | flags;

  /**
   * KcpSupervisor:state:
   *
   * The #KcpSupervisorState.
   */
  props[KCP_SUPERVISOR_PROP_STATE] =
    g_param_spec_int ("state", NULL, NULL, KCP_SUPERVISOR_STOPPED, KCP_SUPERVISOR_FAILED, KCP_SUPERVISOR_STOPPED,
                      readable);
  /**
   * KcpSupervisor:policy:
   *
   * The #KcpRestartPolicy; see kcp_supervisor_set_policy().
   */
  props[KCP_SUPERVISOR_PROP_POLICY] =
    g_param_spec_int ("policy", NULL, NULL, KCP_RESTART_NEVER, KCP_RESTART_ALWAYS, KCP_RESTART_NEVER, writable);
  /**
   * KcpSupervisor:kill-unresponsive:
   *
   * Whether a child that does not answer pings is killed; see kcp_supervisor_set_kill_unresponsive().
   */
  props[KCP_SUPERVISOR_PROP_KILL_UNRESPONSIVE] =
    g_param_spec_boolean ("kill-unresponsive", NULL, NULL, FALSE, writable);
  /**
   * KcpSupervisor:launcher:
   *
   * What starts the children.
   */
  props[KCP_SUPERVISOR_PROP_LAUNCHER] =
    g_param_spec_object ("launcher", NULL, NULL, KCP_TYPE_LAUNCHER, writable | G_PARAM_CONSTRUCT_ONLY);
  /**
   * KcpSupervisor:actor:
   *
   * The child of now; %NULL while there is none.
   */
  props[KCP_SUPERVISOR_PROP_ACTOR] =
    g_param_spec_object ("actor", NULL, NULL, KCP_TYPE_ACTOR, readable);
  /**
   * KcpSupervisor:restarts:
   *
   * How often the policy has had a child started since somebody asked for a start.
   */
  props[KCP_SUPERVISOR_PROP_RESTARTS] =
    g_param_spec_uint ("restarts", NULL, NULL, 0, G_MAXUINT, 0, readable);
  /**
   * KcpSupervisor:next-restart:
   *
   * When the next child will be started, as of g_get_monotonic_time(); 0 where none will.
   */
  props[KCP_SUPERVISOR_PROP_NEXT_RESTART] =
    g_param_spec_int64 ("next-restart", NULL, NULL, 0, G_MAXINT64, 0, readable);
  /**
   * KcpSupervisor:last-report:
   *
   * How the last child has ended; %NULL before the first end, and where a child could not even be spawned.
   */
  props[KCP_SUPERVISOR_PROP_LAST_REPORT] =
    g_param_spec_boxed ("last-report", NULL, NULL, KCP_TYPE_EXIT_REPORT, readable);
  /**
   * KcpSupervisor:last-error:
   *
   * The same as an error; of a start that has failed, what it failed with.
   */
  props[KCP_SUPERVISOR_PROP_LAST_ERROR] =
    g_param_spec_boxed ("last-error", NULL, NULL, G_TYPE_ERROR, readable);
  g_object_class_install_properties (object_class, KCP_SUPERVISOR_N_PROPS, props);
}

static void
install_signals (GType type)
{
  /**
   * KcpSupervisor::restarting:
   * @self: the supervisor
   * @delay_ms: in how many milliseconds
   * @report: (nullable): how the child has ended; %NULL if it could not be spawned
   *
   * The child is gone and will be started again. kcp_supervisor_stop_async() keeps it from that.
   */
  signals[SIGNAL_RESTARTING] = g_signal_new ("restarting", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                             G_TYPE_NONE, 2, G_TYPE_UINT, KCP_TYPE_EXIT_REPORT);
  /**
   * KcpSupervisor::restarted:
   * @self: the supervisor
   * @actor: the new child
   *
   * The child was started again because of the policy, and is ready.
   */
  signals[SIGNAL_RESTARTED] = g_signal_new ("restarted", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                            G_TYPE_NONE, 1, KCP_TYPE_ACTOR);
  /**
   * KcpSupervisor::failed:
   * @self: the supervisor
   * @report: (nullable): how the last child has ended; %NULL if it could not be spawned
   *
   * The child has failed and will not be started again. See also #KcpSupervisor:last-error.
   */
  signals[SIGNAL_FAILED] = g_signal_new ("failed", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                         G_TYPE_NONE, 1, KCP_TYPE_EXIT_REPORT);
}

static void
kcp_supervisor_class_init (KcpSupervisorClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->constructed = kcp_supervisor_constructed;
  object_class->dispose = kcp_supervisor_dispose;
  object_class->finalize = kcp_supervisor_finalize;
  object_class->get_property = kcp_supervisor_get_property;
  object_class->set_property = kcp_supervisor_set_property;
  install_properties (object_class);
  install_signals (G_TYPE_FROM_CLASS (klass));
}

static void
kcp_supervisor_init (KcpSupervisor *self)
{
  self->first_ms = FIRST_MS;
  self->most_ms = MOST_MS;
  self->healthy_ms = HEALTHY_MS;
  self->limit = RESTARTS;
  self->window_ms = WINDOW_MS;
  self->history = g_array_new (FALSE, FALSE, sizeof (gint64));
  self->starters = g_ptr_array_new_with_free_func (g_object_unref);
  self->stoppers = g_ptr_array_new_with_free_func (g_object_unref);
}

/**
 * kcp_supervisor_new:
 * @launcher: (transfer none): what starts the children; changes of it are for the next child
 *
 * Makes a supervisor that has no child yet; see kcp_supervisor_start_async(). Its policy is
 * %KCP_RESTART_NEVER.
 *
 * Returns: (transfer full): a new supervisor
 */
KcpSupervisor *
kcp_supervisor_new (KcpLauncher *launcher)
{
  g_return_val_if_fail (KCP_IS_LAUNCHER (launcher), NULL);

  return g_object_new (KCP_TYPE_SUPERVISOR, "launcher", launcher, NULL);
}

/* ---- for the other parts ---- */

void
kcp_supervisor_notify (KcpSupervisor     *self,
                       KcpSupervisorProp  prop)
{
  g_object_notify_by_pspec (G_OBJECT (self), props[prop]);
}

void
kcp_supervisor_emit_restarting (KcpSupervisor *self,
                                guint          delay_ms,
                                KcpExitReport *report)
{
  g_signal_emit (self, signals[SIGNAL_RESTARTING], 0, delay_ms, report);
}

void
kcp_supervisor_emit_restarted (KcpSupervisor *self,
                               KcpActor      *actor)
{
  g_signal_emit (self, signals[SIGNAL_RESTARTED], 0, actor);
}

void
kcp_supervisor_emit_failed (KcpSupervisor *self,
                            KcpExitReport *report)
{
  g_signal_emit (self, signals[SIGNAL_FAILED], 0, report);
}
