/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-deadlines-private.h"
#include "kcp-inbox-private.h"
#include "kcp-message.h"
#include "kcp-trace-context.h"
#include "kcp-window-private.h"

G_BEGIN_DECLS

/* The caller's view of one request.
 *
 *     OPEN ──item──► OPEN ──end, error, deadline, cancel, close──► DONE
 *
 * It is done exactly once, whatever meets: the first to come decides, the rest find it done.
 * It is the #GAsyncResult of an ask, and what stands behind a #KcpStream. It belongs to the
 * thread of its link; only its cancellable may be triggered from elsewhere.
 *
 * Before it is sent, and after a link has ended that gave it back, it may be in other hands than a
 * link's: kcp_call_move(). */

#define KCP_TYPE_CALL (kcp_call_get_type ())
G_DECLARE_FINAL_TYPE (KcpCall, kcp_call, KCP, CALL, GObject)

typedef struct
{
  /* The call is done: it leaves all tables. With @cancel the callee is told that nobody waits. */
  void (*closed)  (gpointer owner, KcpCall *call, gboolean cancel);
  /* Optional: the user has taken items in, the callee may send more. */
  void (*credit)  (gpointer owner, KcpCall *call, guint items, gsize bytes);
  /* There is something for the user: arrange for kcp_call_notify(), now or when user code may run. */
  void (*deliver) (gpointer owner, KcpCall *call);
  /* Blocks until something has happened that may concern the call. */
  void (*wait)    (gpointer owner, KcpCall *call);
} KcpCallOps;

/* Tells the user of a call that there are items, or that it is done. */
typedef void (*KcpCallNotify) (KcpCall  *call,
                               gpointer  data);

struct _KcpCall
{
  GObject parent_instance;

  const KcpCallOps *ops;
  gpointer owner;           /* borrowed; NULL once done */
  KcpInbox *inbox;          /* by which a cancellation in another thread comes home */

  guint64 id;               /* 0 until it is sent */
  GList *mail;              /* its place in the queue of its owner; NULL: it does not wait */
  guint64 parent;           /* the invocation inside which it was made; 0 for none */
  char *path;
  KcpMessage *message;      /* kept where it may be sent once more; else NULL, as is @trace */
  KcpTraceContext *trace;
  gboolean sent_again;      /* that was done */
  KcpDeadline deadline;
  GCancellable *cancellable;
  gulong cancel_handler;

  gboolean wants_items;
  gboolean done;
  gboolean delivering;      /* deliver() was called and notify has not run yet */
  GQueue items;             /* of KcpMessage */
  gboolean credit;          /* the callee keeps to the window */
  KcpWindow window;
  guint owed_items;         /* taken in, and not given back yet */
  gsize owed_bytes;
  KcpMessage *result;       /* of the END */
  GError *error;

  GObject *source_object;
  GAsyncReadyCallback callback;
  gpointer user_data;
  KcpCallNotify notify;
  gpointer notify_data;
};

KcpCall    *kcp_call_new          (const KcpCallOps     *ops,
                                   gpointer              owner,
                                   KcpInbox             *inbox,
                                   const char           *path);
void        kcp_call_set_callback (KcpCall              *self,
                                   gpointer              source_object,
                                   GAsyncReadyCallback   callback,
                                   gpointer              user_data);
void        kcp_call_set_notify   (KcpCall              *self,
                                   KcpCallNotify         notify,
                                   gpointer              data);
gboolean    kcp_call_watch        (KcpCall              *self,
                                   GCancellable         *cancellable);
/* Into other hands of the same thread. Whoever had it has taken it out of its tables. */
void        kcp_call_move         (KcpCall              *self,
                                   const KcpCallOps     *ops,
                                   gpointer              owner,
                                   KcpInbox             *inbox);

/* Takes @item. FALSE: the callee has gone beyond the window. */
gboolean    kcp_call_take_item    (KcpCall              *self,
                                   KcpMessage           *item);
/* NULL: there is none. */
KcpMessage *kcp_call_pop_item     (KcpCall              *self);
void        kcp_call_take_end     (KcpCall              *self,
                                   KcpMessage           *result);
void        kcp_call_take_error   (KcpCall              *self,
                                   GError               *error);
void        kcp_call_abandon      (KcpCall              *self,
                                   GError               *error);

void        kcp_call_notify       (KcpCall              *self);
KcpMessage *kcp_call_finish       (KcpCall              *self,
                                   GError              **error);

G_END_DECLS
