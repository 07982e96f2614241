/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-pool-state-private.h"

#include "kcp-error.h"

enum
{
  PROP_ITEM_TYPE = 1,
  PROP_N_ITEMS,
  PROP_STATE,
  PROP_SIZE,
  PROP_READY,
  PROP_IN_FLIGHT,
  PROP_WAITING,
  PROP_RESTARTS,
  PROP_LAST_REPORT,
  PROP_KILL_UNRESPONSIVE,
  N_PROPS,
};

enum
{
  SIGNAL_MEMBER_EXITED,
  SIGNAL_FAILED,
  N_SIGNALS,
};

static GParamSpec *props[N_PROPS];
static guint signals[N_SIGNALS];

/* ---- the two interfaces ---- */

static void
callable_iface_init (KcpCallableInterface *iface)
{
  iface->ask_async = (void (*) (KcpCallable *, KcpMessage *, GCancellable *, GAsyncReadyCallback,
                                gpointer)) kcp_pool_ask_async;
  iface->ask_finish = (KcpMessage *(*) (KcpCallable *, GAsyncResult *, GError **)) kcp_pool_ask_finish;
  iface->tell = (gboolean (*) (KcpCallable *, KcpMessage *, GError **)) kcp_pool_tell;
  iface->ask_stream = (KcpStream *(*) (KcpCallable *, KcpMessage *, GCancellable *)) kcp_pool_ask_stream;
}

static GType
list_get_item_type (GListModel *list)
{
  return KCP_TYPE_ACTOR;
}

static guint
list_get_n_items (GListModel *list)
{
  return KCP_POOL (list)->actors->len;
}

static gpointer
list_get_item (GListModel *list,
               guint       position)
{
  KcpPool *self = KCP_POOL (list);

  return position < self->actors->len ? g_object_ref (self->actors->pdata[position]) : NULL;
}

static void
list_iface_init (GListModelInterface *iface)
{
  iface->get_item_type = list_get_item_type;
  iface->get_n_items = list_get_n_items;
  iface->get_item = list_get_item;
}

G_DEFINE_FINAL_TYPE_WITH_CODE (KcpPool, kcp_pool, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (KCP_TYPE_CALLABLE, callable_iface_init)
                               G_IMPLEMENT_INTERFACE (G_TYPE_LIST_MODEL, list_iface_init))

/* ---- life ---- */

static void
kcp_pool_dispose (GObject *object)
{
  kcp_pool_close (KCP_POOL (object));

  G_OBJECT_CLASS (kcp_pool_parent_class)->dispose (object);
}

static void
kcp_pool_finalize (GObject *object)
{
  KcpPool *self = KCP_POOL (object);

  g_clear_object (&self->launcher);
  g_ptr_array_unref (self->members);
  g_ptr_array_unref (self->actors);
  g_array_unref (self->slots);
  g_array_unref (self->crashes);
  g_ptr_array_unref (self->start_waits);
  g_ptr_array_unref (self->stop_waits);
  kcp_deadlines_clear (&self->deadlines);
  kcp_inbox_unref (self->inbox);
  g_clear_pointer (&self->last_report, kcp_exit_report_unref);
  g_clear_error (&self->last_error);
  g_clear_error (&self->stop_error);
  g_main_context_unref (self->context);

  G_OBJECT_CLASS (kcp_pool_parent_class)->finalize (object);
}

static void
kcp_pool_get_property (GObject    *object,
                       guint       id,
                       GValue     *value,
                       GParamSpec *pspec)
{
  KcpPool *self = KCP_POOL (object);

  switch (id)
    {
    case PROP_ITEM_TYPE:
      g_value_set_gtype (value, KCP_TYPE_ACTOR);
      break;
    case PROP_N_ITEMS:
    case PROP_SIZE:
      g_value_set_uint (value, kcp_pool_get_size (self));
      break;
    case PROP_STATE:
      g_value_set_int (value, (int) self->state);
      break;
    case PROP_READY:
      g_value_set_uint (value, kcp_pool_get_ready (self));
      break;
    case PROP_IN_FLIGHT:
      g_value_set_uint (value, kcp_pool_get_in_flight (self));
      break;
    case PROP_WAITING:
      g_value_set_uint (value, kcp_pool_get_waiting (self));
      break;
    case PROP_RESTARTS:
      g_value_set_uint (value, self->restarts);
      break;
    case PROP_LAST_REPORT:
      g_value_set_boxed (value, self->last_report);
      break;
    case PROP_KILL_UNRESPONSIVE:
      g_value_set_boolean (value, self->settings.kill_unresponsive);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
kcp_pool_set_property (GObject      *object,
                       guint         id,
                       const GValue *value,
                       GParamSpec   *pspec)
{
  if (id == PROP_KILL_UNRESPONSIVE)
    kcp_pool_set_kill_unresponsive (KCP_POOL (object), g_value_get_boolean (value));
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
install_properties (GObjectClass *object_class)
{
  GParamFlags readable = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;

  /**
   * KcpPool:item-type:
   *
   * The type of the items of the list: #KcpActor.
   */
  props[PROP_ITEM_TYPE] = g_param_spec_gtype ("item-type", NULL, NULL, G_TYPE_OBJECT, readable);
  /**
   * KcpPool:n-items:
   *
   * The length of the list, which is #KcpPool:size.
   */
  props[PROP_N_ITEMS] = g_param_spec_uint ("n-items", NULL, NULL, 0, G_MAXUINT, 0, readable);
  /**
   * KcpPool:state:
   *
   * The #KcpPoolState.
   */
  props[PROP_STATE] = g_param_spec_int ("state", NULL, NULL, KCP_POOL_NEW, KCP_POOL_STOPPED, KCP_POOL_NEW,
                                        readable);
  /**
   * KcpPool:size:
   *
   * How many children have been ready and are not gone: those that take calls, and those that
   * finish what they have.
   */
  props[PROP_SIZE] = g_param_spec_uint ("size", NULL, NULL, 0, G_MAXUINT, 0, readable);
  /**
   * KcpPool:ready:
   *
   * How many children take calls.
   */
  props[PROP_READY] = g_param_spec_uint ("ready", NULL, NULL, 0, G_MAXUINT, 0, readable);
  /**
   * KcpPool:in-flight:
   *
   * Calls that have no answer yet, those that wait for a child included. Not notified.
   */
  props[PROP_IN_FLIGHT] = g_param_spec_uint ("in-flight", NULL, NULL, 0, G_MAXUINT, 0, readable);
  /**
   * KcpPool:waiting:
   *
   * Calls that wait for a child. Not notified.
   */
  props[PROP_WAITING] = g_param_spec_uint ("waiting", NULL, NULL, 0, G_MAXUINT, 0, readable);
  /**
   * KcpPool:restarts:
   *
   * How many children were started in place of one that had died, hung or not come up.
   */
  props[PROP_RESTARTS] = g_param_spec_uint ("restarts", NULL, NULL, 0, G_MAXUINT, 0, readable);
  /**
   * KcpPool:last-report:
   *
   * How the last child ended that was not asked to; %NULL if none has.
   */
  props[PROP_LAST_REPORT] = g_param_spec_boxed ("last-report", NULL, NULL, KCP_TYPE_EXIT_REPORT, readable);
  /**
   * KcpPool:kill-unresponsive:
   *
   * Whether a child that does not answer pings is killed; see kcp_pool_set_kill_unresponsive().
   */
  props[PROP_KILL_UNRESPONSIVE] = g_param_spec_boolean ("kill-unresponsive", NULL, NULL, FALSE,
                                                        readable | G_PARAM_WRITABLE);
  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
kcp_pool_class_init (KcpPoolClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->dispose = kcp_pool_dispose;
  object_class->finalize = kcp_pool_finalize;
  object_class->get_property = kcp_pool_get_property;
  object_class->set_property = kcp_pool_set_property;
  install_properties (object_class);

  /**
   * KcpPool::member-exited:
   * @self: the pool
   * @actor: (type KcpActor): the child
   * @report: (type KcpExitReport): how it ended
   *
   * A child is gone, whether it was asked to go or not. Its calls have ended, and it has left
   * the list.
   */
  signals[SIGNAL_MEMBER_EXITED] = g_signal_new ("member-exited", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST,
                                                0, NULL, NULL, NULL, G_TYPE_NONE, 2, KCP_TYPE_ACTOR,
                                                KCP_TYPE_EXIT_REPORT);
  /**
   * KcpPool::failed:
   * @self: the pool
   * @report: (type KcpExitReport) (nullable): how the last child ended; %NULL if none was ever ready
   *
   * No child is left and no new one is started: #KcpPool:state has become %KCP_POOL_FAILED, and
   * the calls that waited have failed.
   */
  signals[SIGNAL_FAILED] = g_signal_new ("failed", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL,
                                         NULL, NULL, G_TYPE_NONE, 1, KCP_TYPE_EXIT_REPORT);
}

static void
kcp_pool_init (KcpPool *self)
{
  self->settings = (KcpPoolSettings) {
    .min = 1,
    .max = MAX (g_get_num_processors (), 1),
    .busy_mark = 1,
    .idle_timeout = 30000,
    .drain_timeout = 60000,
    .queue_calls = 16384,
    .queue_bytes = 64 * 1024 * 1024,
    .backoff_first = 100,
    .backoff_longest = 10000,
    .crash_limit = KCP_POOL_CRASHES_BY_SIZE,
    .crash_window = 300000,
  };
  self->members = g_ptr_array_new_with_free_func ((GDestroyNotify) kcp_pool_member_unref);
  self->actors = g_ptr_array_new_with_free_func (g_object_unref);
  self->slots = g_array_new (FALSE, TRUE, sizeof (KcpPoolSlot));
  self->crashes = g_array_new (FALSE, FALSE, sizeof (gint64));
  self->start_waits = g_ptr_array_new ();
  self->stop_waits = g_ptr_array_new ();
  g_queue_init (&self->queue);
  g_queue_init (&self->deferred);
  kcp_deadlines_init (&self->deadlines);
  self->inbox = kcp_inbox_new ();
  self->context = g_main_context_ref_thread_default ();
  kcp_pool_open (self);
}

/**
 * kcp_pool_new:
 * @launcher: (transfer none): what starts the children; what is changed in it later holds for
 *   those that are started later
 *
 * Makes a pool of no children; kcp_pool_start_async() starts them. Unless kcp_pool_set_size()
 * says otherwise there is at least one child, and at most one for each processor.
 *
 * Returns: (transfer full): a new pool
 */
KcpPool *
kcp_pool_new (KcpLauncher *launcher)
{
  KcpPool *self;

  g_return_val_if_fail (KCP_IS_LAUNCHER (launcher), NULL);

  self = g_object_new (KCP_TYPE_POOL, NULL);
  self->launcher = g_object_ref (launcher);
  return self;
}

/* ---- telling ---- */

void
kcp_pool_set_state (KcpPool      *self,
                    KcpPoolState  state)
{
  if (self->state == state)
    return;

  self->state = state;
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_STATE]);
  if (state == KCP_POOL_FAILED && self->state == KCP_POOL_FAILED)
    g_signal_emit (self, signals[SIGNAL_FAILED], 0, self->last_report);
}

/* Whoever mirrors the list sees each change before the next one is made. */
void
kcp_pool_list_add (KcpPool  *self,
                   KcpActor *actor)
{
  g_ptr_array_add (self->actors, g_object_ref (actor));
  g_list_model_items_changed (G_LIST_MODEL (self), self->actors->len - 1, 0, 1);
}

void
kcp_pool_list_remove (KcpPool  *self,
                      KcpActor *actor)
{
  guint index;

  if (!g_ptr_array_find (self->actors, actor, &index))
    return;

  g_ptr_array_remove_index (self->actors, index);
  g_list_model_items_changed (G_LIST_MODEL (self), index, 1, 0);
}

void
kcp_pool_tell_exited (KcpPool       *self,
                      KcpActor      *actor,
                      KcpExitReport *report)
{
  g_signal_emit (self, signals[SIGNAL_MEMBER_EXITED], 0, actor, report);
}

void
kcp_pool_tell_restart (KcpPool *self)
{
  self->restarts++;
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_RESTARTS]);
}

void
kcp_pool_take_report (KcpPool       *self,
                      KcpExitReport *report)
{
  g_clear_pointer (&self->last_report, kcp_exit_report_unref);
  self->last_report = kcp_exit_report_ref (report);
  g_clear_error (&self->last_error);
  self->last_error = g_error_new_literal (KCP_ERROR, KCP_ERROR_NOT_RUNNING,
                                          kcp_exit_report_get_summary (report));
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_LAST_REPORT]);
}

gboolean
kcp_pool_tell_counts (KcpPool *self)
{
  guint ready = kcp_pool_get_ready (self);

  if (self->told_size != self->actors->len)
    {
      self->told_size = self->actors->len;
      g_object_notify_by_pspec (G_OBJECT (self), props[PROP_SIZE]);
      g_object_notify_by_pspec (G_OBJECT (self), props[PROP_N_ITEMS]);
      return TRUE;
    }
  if (self->told_ready != ready)
    {
      self->told_ready = ready;
      g_object_notify_by_pspec (G_OBJECT (self), props[PROP_READY]);
      return TRUE;
    }

  return FALSE;
}
