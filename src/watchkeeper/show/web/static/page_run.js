import { bdi, h, paint } from './dom.js';

export function renderRun(root, answer, context) {
  context.setCrumbs([{ text: answer?.data?.name ?? 'run' }]);
  paint(root, h('h1', null, bdi(answer?.summary ?? '')));
}
