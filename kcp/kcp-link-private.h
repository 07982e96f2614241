/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-channel-private.h"
#include "kcp-handshake-private.h"
#include "kcp-stream.h"

G_BEGIN_DECLS

/* The two channels between a host and a child, as either side has them: the order between the
 * two, calls inside calls, blocking waits, deadlines, pings, and the way in for other threads.
 *
 *   host:   calls go out on request, the child's calls come in on callback
 *   child:  calls come in on request, its own go out on callback
 *
 * A link belongs to the thread that runs its context: that is home. The functions to ask and tell,
 * ref and unref, and those that say so may be called from any thread. */
typedef struct _KcpLink KcpLink;

typedef enum
{
  KCP_LINK_HOST,
  KCP_LINK_CHILD,
} KcpLinkSide;

typedef struct
{
  /* Runs user code for a call of the other side. */
  void (*invoke)     (gpointer owner, KcpInvocation *invocation);
  /* OPEN, STATUS, LOG, GOODBYE. */
  void (*frame)      (gpointer owner, KcpFrameKind kind, GBytes *body);
  /* A socket has ended; @error is NULL for an ordinary end of file. Calls stay open until
   * kcp_link_close(), which knows the cause. May come twice. */
  void (*lost)       (gpointer owner, const GError *error);
  /* Optional: the last open call of the other side is answered, or gone. May be called from
   * inside a handler. */
  void (*drained)    (gpointer owner);
  /* Optional: the other side has stopped answering pings, or answers again. */
  void (*responsive) (gpointer owner, gboolean responsive);
} KcpLinkOps;

typedef struct
{
  GSocketConnection *connection;
  KcpFrameReader *reader;
} KcpLinkSocket;

/* What may be under way. */
typedef struct
{
  guint in_flight;          /* calls sent and not answered */
  guint mailbox_calls;      /* calls waiting behind them */
  gsize mailbox_bytes;
} KcpLinkLimits;

#define KCP_LINK_DEFAULT_LIMITS ((KcpLinkLimits) { 1024, 16384, 64 * 1024 * 1024 })

KcpLink      *kcp_link_new             (KcpLinkSide           side,
                                        KcpLinkSocket        *request,
                                        KcpLinkSocket        *callback,
                                        const KcpTerms       *terms,
                                        const KcpLinkOps     *ops,
                                        gpointer              owner);
KcpLink      *kcp_link_ref             (KcpLink              *self);
void          kcp_link_unref           (KcpLink              *self);
void          kcp_link_attach          (KcpLink              *self,
                                        GMainContext         *context);

void          kcp_link_set_limits      (KcpLink              *self,
                                        const KcpLinkLimits  *limits);
void          kcp_link_set_call_timeout (KcpLink             *self,
                                         int                  milliseconds);

/* Calls. Errors come by the callback, never from inside. */
void          kcp_link_ask_async       (KcpLink              *self,
                                        gpointer              source_object,
                                        KcpMessage           *message,
                                        GCancellable         *cancellable,
                                        GAsyncReadyCallback   callback,
                                        gpointer              user_data);
KcpMessage   *kcp_link_ask_finish      (GAsyncResult         *result,
                                        GError              **error);
KcpMessage   *kcp_link_ask             (KcpLink              *self,
                                        KcpMessage           *message,
                                        GCancellable         *cancellable,
                                        GError              **error);
gboolean      kcp_link_tell            (KcpLink              *self,
                                        KcpMessage           *message,
                                        GError              **error);
KcpStream    *kcp_link_ask_stream      (KcpLink              *self,
                                        KcpMessage           *message,
                                        GCancellable         *cancellable);

/* Takes over a call that has waited elsewhere and was admitted there, in the order in which they
 * come. @call is NULL for a one-way message. */
void          kcp_link_adopt           (KcpLink              *self,
                                        KcpCall              *call,
                                        KcpMessage           *message,
                                        KcpTraceContext      *trace,
                                        gint64                deadline_at);

/* Gets back what the end of a link would have failed with @reason although it may be made elsewhere:
 * an ask that was not sent yet, or one whose message is idempotent and was sent once. Only asks
 * whose source object is @data. From the newest to the oldest, before any user code hears of the
 * end. With @func NULL nothing is given back. */
typedef void (*KcpLinkTakeBack) (gpointer         data,
                                 KcpCall         *call,
                                 KcpMessage      *message,
                                 KcpTraceContext *trace,
                                 const GError    *reason);

void          kcp_link_set_take_back   (KcpLink              *self,
                                        KcpLinkTakeBack       func,
                                        gpointer              data);

/* New calls fail with @error from now on; takes it. */
void          kcp_link_refuse          (KcpLink              *self,
                                        GError               *error);
/* Sends all calls that wait, so that a frame about the link can come behind them. */
void          kcp_link_mailbox_send_all (KcpLink             *self);
/* In flight and waiting. */
guint         kcp_link_count_calls     (KcpLink              *self);
/* The same, from any thread, and with those that are on their way to the link. */
guint         kcp_link_get_in_flight   (KcpLink              *self);
guint         kcp_link_count_invocations (KcpLink            *self);

void          kcp_link_send            (KcpLink              *self,
                                        KcpSocketRole         socket,
                                        KcpFrameKind          kind,
                                        GBytes               *body);
gboolean      kcp_link_flush           (KcpLink              *self,
                                        gint64                until);
/* So much waits to be sent on the callback socket that what can be left out should be. */
gboolean      kcp_link_is_backed_up    (KcpLink              *self);
void          kcp_link_drain           (KcpLink              *self);

/* Ends everything: calls fail with @reason, invocations are cancelled, sockets are closed. */
void          kcp_link_close           (KcpLink              *self,
                                        const GError         *reason);
gboolean      kcp_link_is_closed       (KcpLink              *self);
/* Whether both sockets still carry something. */
gboolean      kcp_link_is_whole        (KcpLink              *self);

/* A deadline that is kept in blocking waits as well. */
void          kcp_link_add_deadline    (KcpLink              *self,
                                        KcpDeadline          *deadline);
void          kcp_link_remove_deadline (KcpLink              *self,
                                        KcpDeadline          *deadline);

/* Runs user code as soon as that is allowed: at once, or after a blocking wait of this thread. */
void          kcp_link_when_free       (KcpLink              *self,
                                        KcpInboxFunc          func,
                                        gpointer              data,
                                        GDestroyNotify        destroy);

/* Runs @func in the thread of the link; may be called from any thread. */
void          kcp_link_post            (KcpLink              *self,
                                        KcpInboxFunc          func,
                                        gpointer              data,
                                        GDestroyNotify        destroy);

/* Home, see KcpInbox; from any thread. */
gboolean      kcp_link_enter           (KcpLink              *self,
                                        KcpVisit             *visit);
void          kcp_link_leave           (KcpLink              *self,
                                        KcpVisit             *visit);
gboolean      kcp_link_at_home         (KcpLink              *self);
/* See kcp_inbox_run(); from any thread. */
void          kcp_link_run             (KcpLink              *self,
                                        KcpInboxFunc          func,
                                        gpointer              data,
                                        GDestroyNotify        destroy);
/* Nests. What user code is due meanwhile runs in a later turn. */
void          kcp_link_hold_user_code  (KcpLink              *self,
                                        gboolean              hold);

/* A descriptor that a blocking wait looks after as well, such as the one that tells of the
 * child's death. @get_fd gives -1 when there is nothing to look after any more; @func is called
 * when it can be read. For the life of the link. */
void          kcp_link_watch           (KcpLink              *self,
                                        int                 (*get_fd) (gpointer data),
                                        KcpInboxFunc          func,
                                        gpointer              data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KcpLink, kcp_link_unref)

G_END_DECLS
