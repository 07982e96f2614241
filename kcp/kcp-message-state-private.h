/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-message-private.h"

G_BEGIN_DECLS

/* Inside of a message, shared by kcp-message.c and kcp-message-fds.c. Nobody else includes it. */

struct _KcpMessage
{
  gatomicrefcount ref_count;
  int timeout_ms;
  gboolean wait_for_room;
  gboolean idempotent;
  char *path;              /* NULL in a reply or an item */
  char *content_type;      /* NULL: JSON */
  char *baggage;
  KcpTraceContext *trace;

  GUnixFDList *fds;        /* NULL: none */

  /* The body, in either form or both; each is made from the other when it is first wanted. */
  GBytes *bytes;
  JsonNode *node;

  /* Where the body is in a memory file: that one, alone in a list; @bytes is its mapping then. */
  GUnixFDList *body_fd;
  guint64 body_fd_size;    /* as the sender has told it */
};

KcpMessage *kcp_message_alloc        (const char  *path);

/* Makes @bytes from the descriptor of the body. With @parse it is to become a document. FALSE
 * with KCP_ERROR_INVALID_MESSAGE. */
gboolean    kcp_message_read_body_fd (KcpMessage  *self,
                                      gboolean     parse,
                                      GError     **error);

G_END_DECLS
