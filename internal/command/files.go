package command

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/impb"
)

func fileActions() map[string]action {
	return map[string]action{
		// Adding and removing have no answer to wait for, so the list stands in their lane and sees what came before.
		"IMFileHasOfflineReq": bulky(list[*impb.IMFileHasOfflineReq], change(
			func(req *impb.IMFileHasOfflineReq) chat.Lane { return chat.FilesLane(req.GetUserId()) },
			func(ctx context.Context, s *chat.Service, req *impb.IMFileHasOfflineReq) (proto.Message, error) {
				files, err := s.WaitingFiles(ctx, req.GetUserId())
				rsp := &impb.IMFileHasOfflineRsp{UserId: req.UserId}
				for _, f := range files {
					rsp.OfflineFileList = append(rsp.OfflineFileList, &impb.OfflineFileInfo{
						FromUserId: &f.From, TaskId: &f.Task, FileName: &f.Name, FileSize: &f.Size,
					})
				}
				return rsp, err
			})),
		"IMFileAddOfflineReq": change(
			func(req *impb.IMFileAddOfflineReq) chat.Lane { return chat.FilesLane(req.GetToUserId()) },
			func(ctx context.Context, s *chat.Service, req *impb.IMFileAddOfflineReq) (proto.Message, error) {
				return nil, s.AddFile(ctx, chat.OfflineFile{
					From: req.GetFromUserId(), To: req.GetToUserId(), Task: req.GetTaskId(), Name: req.GetFileName(), Size: req.GetFileSize(),
				})
			}),
		"IMFileDelOfflineReq": change(
			func(req *impb.IMFileDelOfflineReq) chat.Lane { return chat.FilesLane(req.GetToUserId()) },
			func(ctx context.Context, s *chat.Service, req *impb.IMFileDelOfflineReq) (proto.Message, error) {
				return nil, s.RemoveFile(ctx, req.GetFromUserId(), req.GetToUserId(), req.GetTaskId())
			}),
	}
}
