/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-message-codec-private.h"

G_BEGIN_DECLS

/* What a HELLO says and whether two of them agree; see PROTOCOL.md, "Handshake". Pure: bytes in,
 * bytes out, so that it can be tested and fuzzed without a socket. */

#define KCP_PROTOCOL_MIN 1
#define KCP_PROTOCOL_MAX 1

typedef enum
{
  KCP_SOCKET_REQUEST,
  KCP_SOCKET_CALLBACK,
} KcpSocketRole;

typedef struct
{
  gboolean from_child;
  KcpSocketRole socket;
  int protocol_min, protocol_max;
  char *program;      /* name and version */
  char *token;        /* of a child; NULL otherwise */
  int pid;            /* of a child; 0 otherwise */
  gsize frame_limit;
  gboolean credit;      /* it names the feature */
  gboolean fds;         /* likewise */
  guint stream_items;   /* what it grants to a stream that it reads */
  gsize stream_bytes;
} KcpHello;

/* What two HELLOs come to. */
typedef struct
{
  gsize frame_limit;
  gboolean credit, fds;
  guint our_items, their_items;     /* what this side grants, and the other */
  gsize our_bytes, their_bytes;
} KcpTerms;

#define KCP_STREAM_ITEMS 64
#define KCP_STREAM_BYTES (1024 * 1024)

const char *kcp_socket_role_to_string (KcpSocketRole    role);

void        kcp_hello_clear           (KcpHello        *hello);
GBytes     *kcp_hello_encode          (const KcpHello  *hello);
gboolean    kcp_hello_decode          (GBytes          *body,
                                       KcpHello        *hello,
                                       GError         **error);

/* Whether the two can talk, and on which terms. FALSE with KCP_ERROR_VERSION_MISMATCH or
 * KCP_ERROR_HANDSHAKE_FAILED. */
gboolean    kcp_hello_agree           (const KcpHello  *ours,
                                       const KcpHello  *theirs,
                                       KcpTerms        *terms,
                                       GError         **error);

/* The same time for every wrong token of the right length. */
gboolean    kcp_token_equal           (const char      *a,
                                       const char      *b);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (KcpHello, kcp_hello_clear)

G_END_DECLS
